{{/* `helm test`: the scenario, through the gateway, as a client would do it. */}}
{{- define "common.test" -}}
{{- $context := dict "root" . "part" "test" }}
---
apiVersion: v1
kind: ConfigMap
metadata:
  {{- include "common.metadata" $context | nindent 2 }}
data:
  {{- include "common.scenario" . | nindent 2 }}
---
apiVersion: v1
kind: Pod
metadata:
  {{- include "common.metadata" $context | nindent 2 }}
  annotations:
    helm.sh/hook: test
    # Stays until the next run, so that its log can be read.
    helm.sh/hook-delete-policy: before-hook-creation
spec:
  {{- include "common.pod" (dict "root" . "user" 65532) | nindent 2 }}
  restartPolicy: Never
  activeDeadlineSeconds: 300
  containers:
    - name: scenario
      image: {{ .Values.test.image }}
      command: [sh, /scenario/scenario.sh, "http://{{ include "common.name" (dict "root" . "part" "gateway") }}:8080"]
      volumeMounts:
        - name: scenario
          mountPath: /scenario
          readOnly: true
      resources:
        {{- toYaml .Values.initResources | nindent 8 }}
      securityContext:
        {{- include "common.container-security" . | nindent 8 }}
  volumes:
    - name: scenario
      configMap:
        name: {{ include "common.name" $context }}
{{- end }}

{{- define "common.scenario" -}}
scenario.sh: |
  # The homework's steps, against the gateway at $1. What may take a while is asked for again, until a deadline.
  set -u
  base=$1
  passed=0 failed=0

  # request METHOD PATH [BODY]: sets `answer` to status and body.
  request() {
    answer=$(curl --silent --show-error --max-time 35 --request "$1" ${3:+--data "$3"} \
      --header 'Content-Type: application/json' --write-out '\n%{http_code}' "$base$2" 2>&1)
    answer="$(printf '%s\n' "$answer" | tail -n 1) $(printf '%s\n' "$answer" | sed '$d')"
  }

  # field NAME: the value of a number or string in the answer.
  field() {
    printf '%s' "$answer" | sed -nE 's/.*"'"$1"'":"?([^",}]*).*/\1/p'
  }

  # answer_is PATTERN: a pattern of the shell for status and body.
  answer_is() {
    # shellcheck disable=SC2254 # it is a pattern
    case $answer in $1) return 0 ;; *) return 1 ;; esac
  }

  # eventually PATTERN PATH: asks until the answer fits.
  eventually() {
    tries=60
    request GET "$2"
    until answer_is "$1"; do
      tries=$((tries - 1))
      [ "$tries" -gt 0 ] || return 1
      sleep 1
      request GET "$2"
    done
  }

  # settle PATH: 202 says that the outcome is not known yet, and will be found at PATH/{requestId}.
  settle() {
    if answer_is '202 *'; then eventually '200 *' "$1/$(field requestId)"; fi
  }

  # step NAME CONDITION...: says whether it holds; the rest is tried in any case.
  step() {
    name=$1
    shift
    if "$@"; then
      passed=$((passed + 1))
      echo "ok     $name"
    else
      failed=$((failed + 1))
      echo "WRONG  $name: $answer"
    fi
  }
  {{- if eq (include "style" . | fromYaml).protocol "grpc" }}

  # The gateway is ready without the others. It finds them by DNS, whose caches may still say that there are none.
  eventually '200 *"billing":"up","notification":"up","order":"up"*' /ready
  {{- else }}

  eventually '200 *' /ready
  {{- end }}

  username=ann-$(date +%s)-$$
  request POST /billing/user \
    "{\"username\":\"$username\",\"password\":\"correct horse\",\"email\":\"$username@example.org\"}"
  settle /billing/requests
  user=$(field userId)
  step '1. a user is created' answer_is '20[01] *"userId":[1-9]*'

  request POST "/billing/deposit/$user" '{"amount":100}'
  settle /billing/requests
  step '2. 100 are deposited' answer_is '200 *"balance":100[,}]*'

  order="{\"userId\":${user:-0},\"price\":90}"
  request POST /orders "$order"
  settle /orders/requests
  case $answer in '201 '*) eventually '200 *' "/orders/$(field orderId)" ;; esac
  step '3. an order for 90 is paid' answer_is '200 *"status":"paid"*'

  request GET "/billing/user/$user"
  step '4. 10 are left' answer_is '200 *"balance":10[,}]*'

  step '5. the happy email is sent' \
    eventually '200 *"title":"Order is paid"*"status":"sent"*' "/notification/email/$user"

  request POST /orders "$order"
  settle /orders/requests
  case $answer in '412 '*) eventually '200 *' "/orders/$(field orderId)" ;; esac
  step '6. another order for 90 is rejected' answer_is '200 *"status":"rejected"*"reason":"insufficient-funds"*'

  request GET "/billing/user/$user"
  step '7. 10 are still left' answer_is '200 *"balance":10[,}]*'

  # Oldest first, so what follows the title is this email's.
  step '8. the sad email is sent' \
    eventually '200 *"title":"Not enough money"*"status":"sent"*' "/notification/email/$user"
  {{- if has "ticket" (include "common.services" . | fromYamlArray) }}

  # Beyond the homework: orders with a ticket. No other run has this event.
  event=$(date +%s)
  request PUT "/tickets/$event" '{"capacity":1}'
  step '9. an event has one seat' answer_is '20[01] *"free":1,*'

  booking="{\"userId\":${user:-0},\"price\":5,\"eventId\":$event}"
  request POST /bookings "$booking"
  settle /orders/requests
  case $answer in '201 '*) eventually '200 *' "/bookings/$(field orderId)" ;; esac
  step '10. a booking for 5 is paid' answer_is '200 *"status":"paid"*'

  step '11. the seat is sold' eventually '200 *"free":0,"reserved":0,"sold":1[,}]*' "/tickets/$event"

  request POST /bookings "$booking"
  settle /orders/requests
  case $answer in '409 '*) eventually '200 *' "/bookings/$(field orderId)" ;; esac
  step '12. another booking is rejected: sold out' answer_is '200 *"status":"rejected"*"reason":"sold-out"*'
  {{- end }}

  echo "$passed passed, $failed failed"
  [ "$failed" -eq 0 ]
{{- end }}
