{{/* The environment of a service, secrets excepted, as a YAML map. */}}
{{- define "common.settings" -}}
{{- $root := .root }}
{{- $style := include "style" $root | fromYaml }}
{{- $settings := dict "LISTEN" "0.0.0.0:8080" }}
{{- range $peer := index $style.calls .part }}
{{- $_ := set $settings (printf "%s_URL" (upper $peer)) (printf "http://%s:8080" (include "common.name" (dict "root" $root "part" $peer))) }}
{{- end }}
{{- if has .part (include "common.owners" $root | fromYamlArray) }}
{{- $_ := set $settings "DATABASE_URL" (include "common.database-url" .) }}
{{- end }}
{{- if has .part $style.kafka }}
{{- $settings = merge $settings (include "common.kafka-settings" $root | fromYaml) }}
{{- end }}
{{- if eq .part "notification" }}
{{- $settings = merge $settings (include "common.mail-settings" $root | fromYaml) }}
{{- end }}
{{- $own := index $root.Values.services .part }}
{{- mustMergeOverwrite $settings $root.Values.settings $own.settings | toYaml }}
{{- end }}

{{- define "common.configmap" -}}
apiVersion: v1
kind: ConfigMap
metadata:
  {{- include "common.metadata" . | nindent 2 }}
data:
  {{- include "common.settings" . | nindent 2 }}
{{- end }}

{{- define "common.image" -}}
{{ .Values.image.repository }}:{{ .Values.image.tag | default .Chart.AppVersion | replace "+" "_" }}
{{- end }}

{{- define "common.deployment" -}}
{{- $root := .root }}
{{- $values := $root.Values }}
{{- $own := index $values.services .part }}
{{- $style := include "style" $root | fromYaml }}
{{- $protocol := include "common.protocol" . }}
{{- $owner := has .part (include "common.owners" $root | fromYamlArray) }}
{{- $usesKafka := has .part $style.kafka }}
{{- $secrets := list }}
{{- $volumes := list }}
{{- $mounts := list }}
{{- if $owner }}
{{- $secrets = concat $secrets (include "common.database-secrets" . | fromYamlArray) }}
{{- $volumes = concat $volumes (include "common.database-volumes" $root | fromYamlArray) }}
{{- $mounts = concat $mounts (include "common.database-mounts" $root | fromYamlArray) }}
{{- end }}
{{- if $usesKafka }}
{{- $secrets = concat $secrets (include "common.kafka-secrets" $root | fromYamlArray) }}
{{- $volumes = concat $volumes (include "common.kafka-volumes" $root | fromYamlArray) }}
{{- $mounts = concat $mounts (include "common.kafka-mounts" $root | fromYamlArray) }}
{{- end }}
{{- if eq .part "notification" }}
{{- $secrets = concat $secrets (include "common.mail-secrets" $root | fromYamlArray) }}
{{- end -}}
apiVersion: apps/v1
kind: Deployment
metadata:
  {{- include "common.metadata" . | nindent 2 }}
spec:
  {{- /* Not rendered, it is not Helm's: an upgrade leaves the number that somebody else has set. */}}
  {{- if and $own.replicas (not $own.autoscaling.enabled) }}
  replicas: {{ $own.replicas }}
  {{- end }}
  revisionHistoryLimit: 3
  selector:
    matchLabels:
      {{- include "common.selector" . | nindent 6 }}
  # A pod goes only when its successor is ready.
  strategy:
    type: RollingUpdate
    rollingUpdate:
      maxSurge: 1
      maxUnavailable: 0
  template:
    metadata:
      # Without the chart's version, which is no reason to replace a pod.
      labels:
        {{- include "common.selector" . | nindent 8 }}
      annotations:
        # A process reads its settings and passwords when it starts: other ones, other pods.
        checksum/settings: {{ include "common.settings" . | sha256sum }}
        checksum/secrets: {{ include "common.secrets-checksum" (dict "root" $root "secrets" $secrets) }}
        {{- if and $owner $values.postgresql.provision }}
        checksum/provision: {{ include "common.provision-scripts" $root | sha256sum }}
        {{- end }}
    spec:
      {{- include "common.pod" (dict "root" $root "user" 65532) | nindent 6 }}
      {{- if eq $protocol "grpc" }}
      # 35 s before SIGTERM and, at the worst, 10 s for running calls (DRAIN_MS), 4 s for orders answered with 202, and 3 s for
      # spans after it.
      terminationGracePeriodSeconds: 75
      {{- else }}
      # 5 s before SIGTERM and, at the worst, 10 s for running requests, 4 s for orders answered with 202, 2 s for the outbox
      # and 3 s for spans after it.
      terminationGracePeriodSeconds: 45
      {{- end }}
      {{- with $values.topologySpreadConstraints }}
      topologySpreadConstraints:
        {{- range . }}
        - {{- toYaml . | nindent 10 }}
          labelSelector:
            matchLabels:
              {{- include "common.selector" $ | nindent 14 }}
        {{- end }}
      {{- end }}
      {{- with $values.nodeSelector }}
      nodeSelector:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- with $values.tolerations }}
      tolerations:
        {{- toYaml . | nindent 8 }}
      {{- end }}
      {{- if or (and $owner $values.postgresql.provision) $usesKafka }}
      # Not hooks: `--atomic` waits for pods, which would wait for a hook that comes after them.
      initContainers:
        {{- if and $owner $values.postgresql.provision }}
        {{- include "common.provision-container" . | nindent 8 }}
        {{- end }}
        {{- if $usesKafka }}
        # Creates those topics that do not exist yet. Each service that uses them does so, since any of them may be the first.
        - name: create-topics
          image: {{ include "common.image" $root }}
          imagePullPolicy: {{ $values.image.pullPolicy }}
          args: [create-topics]
          envFrom:
            - configMapRef:
                name: {{ include "common.name" . }}
          {{- with include "common.kafka-secrets" $root | fromYamlArray }}
          env:
            {{- toYaml . | nindent 12 }}
          {{- end }}
          {{- with include "common.kafka-mounts" $root | fromYamlArray }}
          volumeMounts:
            {{- toYaml . | nindent 12 }}
          {{- end }}
          resources:
            {{- toYaml $values.initResources | nindent 12 }}
          securityContext:
            {{- include "common.container-security" . | nindent 12 }}
        {{- end }}
      {{- end }}
      containers:
        - name: {{ .part }}
          image: {{ include "common.image" $root }}
          imagePullPolicy: {{ $values.image.pullPolicy }}
          args: [{{ .part }}]
          envFrom:
            - configMapRef:
                name: {{ include "common.name" . }}
          {{- with $secrets }}
          env:
            {{- toYaml . | nindent 12 }}
          {{- end }}
          ports:
            - name: {{ $protocol }}
              containerPort: 8080
          # Migrations may take their time before the first answer.
          startupProbe:
            {{- if eq $protocol "grpc" }}
            # By this name whoever answers is well. Asked as below, a pod would be killed if its database went away just now.
            grpc:
              port: 8080
              service: liveness
            {{- else }}
            httpGet:
              path: /health
              port: http
            {{- end }}
            periodSeconds: 2
            timeoutSeconds: 2
            failureThreshold: 60
          livenessProbe:
            httpGet:
              path: /health
              port: {{ $protocol }}
            periodSeconds: 10
            timeoutSeconds: 2
            failureThreshold: 3
          readinessProbe:
            {{- if eq $protocol "grpc" }}
            # The server as a whole: not without its database, and not once it drains.
            grpc:
              port: 8080
            {{- else }}
            httpGet:
              path: /ready
              port: http
            {{- end }}
            periodSeconds: 5
            timeoutSeconds: 2
            failureThreshold: 2
          lifecycle:
            # A pod that is to go still gets requests until everybody knows of it: it serves them before SIGTERM makes it
            # stop accepting. The kubelet waits, since the image has no shell.
            preStop:
              sleep:
                {{- if eq $protocol "grpc" }}
                # Who calls it finds pods by DNS, whose caches keep an answer for 30 s: only then all know of its successor.
                seconds: 35
                {{- else }}
                seconds: 5
                {{- end }}
          {{- with $mounts }}
          volumeMounts:
            {{- toYaml . | nindent 12 }}
          {{- end }}
          resources:
            {{- toYaml $own.resources | nindent 12 }}
          securityContext:
            {{- include "common.container-security" . | nindent 12 }}
      {{- with $volumes }}
      volumes:
        {{- toYaml . | nindent 8 }}
      {{- end }}
{{- end }}

{{- define "common.disruption-budget" -}}
apiVersion: policy/v1
kind: PodDisruptionBudget
metadata:
  {{- include "common.metadata" . | nindent 2 }}
spec:
  # Holds for one replica, too: a node can always be drained.
  maxUnavailable: 1
  selector:
    matchLabels:
      {{- include "common.selector" . | nindent 6 }}
{{- end }}

{{/*
The contents of the secrets that `secrets` (a container's `env`) refers to. Secrets of others are looked up, which finds
nothing where there is no cluster.
*/}}
{{- define "common.secrets-checksum" -}}
{{- $root := .root }}
{{- $contents := list }}
{{- range .secrets }}
{{- $ref := .valueFrom.secretKeyRef }}
{{- $data := dict }}
{{- if eq $ref.name (include "common.name" (dict "root" $root "part" "database")) }}
{{- $data = include "common.passwords" $root | fromYaml }}
{{- else }}
{{- $data = (lookup "v1" "Secret" $root.Release.Namespace $ref.name).data | default dict }}
{{- end }}
{{- $contents = append $contents (printf "%s=%s" .name (get $data $ref.key)) }}
{{- end }}
{{- $contents | join "\n" | sha256sum }}
{{- end }}
