{{/* Kafka: one broker of the installation's own for trying it out, or brokers that somebody else runs. */}}
{{- define "common.kafka" -}}
{{- $context := dict "root" . "part" "kafka" }}
{{- if .Values.kafka.enabled }}
---
{{ include "common.service" (merge (dict "ports" (dict "kafka" 9092)) $context) }}
---
apiVersion: apps/v1
kind: StatefulSet
metadata:
  {{- include "common.metadata" $context | nindent 2 }}
spec:
  serviceName: {{ include "common.name" $context }}
  replicas: 1
  selector:
    matchLabels:
      {{- include "common.selector" $context | nindent 6 }}
  template:
    metadata:
      labels:
        {{- include "common.selector" $context | nindent 8 }}
    spec:
      {{- include "common.pod" (dict "root" . "user" 1000) | nindent 6 }}
      containers:
        - name: kafka
          image: {{ .Values.kafka.image }}
          # One node, which is broker and controller.
          env:
            {{- range $name, $value := include "common.kafka-broker-settings" . | fromYaml }}
            - name: {{ $name }}
              value: {{ $value | quote }}
            {{- end }}
          ports:
            - name: kafka
              containerPort: 9092
          # It listens once it has read its log and belongs to its own quorum.
          startupProbe:
            tcpSocket:
              port: kafka
            periodSeconds: 2
            failureThreshold: 60
          livenessProbe:
            tcpSocket:
              port: kafka
            periodSeconds: 10
            failureThreshold: 6
          readinessProbe:
            tcpSocket:
              port: kafka
            periodSeconds: 5
          volumeMounts:
            - name: data
              mountPath: /var/lib/kafka/data
            # The image writes its configuration and its logs where it is installed.
            - name: config
              mountPath: /opt/kafka/config
            - name: logs
              mountPath: /opt/kafka/logs
            - name: tmp
              mountPath: /tmp
          resources:
            {{- toYaml .Values.kafka.resources | nindent 12 }}
          securityContext:
            {{- include "common.container-security" . | nindent 12 }}
      volumes:
        - name: config
          emptyDir: {}
        - name: logs
          emptyDir: {}
        - name: tmp
          emptyDir: {}
  {{- include "common.volume-claim" (dict "settings" .Values.kafka) | nindent 2 }}
{{- end }}
{{- end }}

{{- define "common.kafka-broker-settings" -}}
KAFKA_NODE_ID: "1"
KAFKA_PROCESS_ROLES: broker,controller
KAFKA_CONTROLLER_QUORUM_VOTERS: 1@127.0.0.1:9093
KAFKA_CONTROLLER_LISTENER_NAMES: CONTROLLER
KAFKA_INTER_BROKER_LISTENER_NAME: CLIENTS
KAFKA_LISTENER_SECURITY_PROTOCOL_MAP: CLIENTS:PLAINTEXT,CONTROLLER:PLAINTEXT
KAFKA_LISTENERS: CLIENTS://0.0.0.0:9092,CONTROLLER://127.0.0.1:9093
KAFKA_ADVERTISED_LISTENERS: CLIENTS://{{ include "common.name" (dict "root" . "part" "kafka") }}:9092
# A folder of the volume: in its root Kafka would stumble over what the file system put there.
KAFKA_LOG_DIRS: /var/lib/kafka/data/topics
KAFKA_AUTO_CREATE_TOPICS_ENABLE: "false"
KAFKA_OFFSETS_TOPIC_REPLICATION_FACTOR: "1"
KAFKA_TRANSACTION_STATE_LOG_REPLICATION_FACTOR: "1"
KAFKA_TRANSACTION_STATE_LOG_MIN_ISR: "1"
KAFKA_GROUP_INITIAL_REBALANCE_DELAY_MS: "0"
KAFKA_HEAP_OPTS: -Xmx512m
{{- end }}

{{- define "common.kafka-brokers" -}}
{{- if .Values.kafka.enabled -}}
{{ include "common.name" (dict "root" . "part" "kafka") }}:9092
{{- else -}}
{{ .Values.kafka.external.brokers | required "kafka.enabled is false: say in kafka.external.brokers where Kafka is" }}
{{- end }}
{{- end }}

{{/* How every service reaches Kafka, as environment variables. */}}
{{- define "common.kafka-settings" -}}
KAFKA_BROKERS: {{ include "common.kafka-brokers" . | quote }}
{{- with .Values.kafka.prefix }}
KAFKA_PREFIX: {{ . | quote }}
{{- end }}
KAFKA_PARTITIONS: {{ .Values.kafka.partitions | quote }}
KAFKA_REPLICATION: {{ .Values.kafka.enabled | ternary 1 .Values.kafka.replication | quote }}
{{- if not .Values.kafka.enabled }}
{{- with .Values.kafka.external }}
KAFKA_SECURITY_PROTOCOL: {{ .securityProtocol }}
{{- with .saslMechanism }}
KAFKA_SASL_MECHANISM: {{ . }}
{{- end }}
{{- if .caSecret }}
KAFKA_SSL_CA_LOCATION: /etc/tls/kafka/ca.crt
{{- end }}
{{- if .clientSecret }}
KAFKA_SSL_CERTIFICATE_LOCATION: /etc/tls/kafka-client/tls.crt
KAFKA_SSL_KEY_LOCATION: /etc/tls/kafka-client/tls.key
{{- end }}
{{- end }}
{{- end }}
{{- end }}

{{- define "common.kafka-secrets" -}}
{{- if and (not .Values.kafka.enabled) .Values.kafka.external.saslSecret }}
{{- range $variable, $key := dict "KAFKA_SASL_USERNAME" "username" "KAFKA_SASL_PASSWORD" "password" }}
- name: {{ $variable }}
  valueFrom:
    secretKeyRef:
      name: {{ $.Values.kafka.external.saslSecret }}
      key: {{ $key }}
{{- end }}
{{- end }}
{{- end }}

{{- define "common.kafka-volumes" -}}
{{- if not .Values.kafka.enabled }}
{{- with .Values.kafka.external.caSecret }}
- name: kafka-ca
  secret:
    secretName: {{ . }}
    items: [{key: ca.crt, path: ca.crt}]
{{- end }}
{{- with .Values.kafka.external.clientSecret }}
- name: kafka-client
  secret:
    secretName: {{ . }}
    # For the group that the pod's user belongs to.
    defaultMode: 0440
{{- end }}
{{- end }}
{{- end }}

{{- define "common.kafka-mounts" -}}
{{- if not .Values.kafka.enabled }}
{{- if .Values.kafka.external.caSecret }}
- name: kafka-ca
  mountPath: /etc/tls/kafka
  readOnly: true
{{- end }}
{{- if .Values.kafka.external.clientSecret }}
- name: kafka-client
  mountPath: /etc/tls/kafka-client
  readOnly: true
{{- end }}
{{- end }}
{{- end }}
