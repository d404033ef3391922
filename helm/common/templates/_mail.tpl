{{/* SMTP: a server of the installation's own that keeps all mail to be looked at, or a real one. */}}
{{- define "common.mail" -}}
{{- $context := dict "root" . "part" "mail" }}
{{- if .Values.mail.enabled }}
---
{{ include "common.service" (merge (dict "ports" (dict "smtp" 1025 "http" 8025)) $context) }}
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
      {{- include "common.pod" (dict "root" . "user" 65532) | nindent 6 }}
      containers:
        - name: mail
          image: {{ .Values.mail.image }}
          ports:
            - name: smtp
              containerPort: 1025
            - name: http
              containerPort: 8025
          livenessProbe:
            httpGet:
              path: /livez
              port: http
            periodSeconds: 10
          readinessProbe:
            httpGet:
              path: /readyz
              port: http
            periodSeconds: 5
          # The mailbox, which is gone with the pod.
          volumeMounts:
            - name: tmp
              mountPath: /tmp
          resources:
            {{- toYaml .Values.mail.resources | nindent 12 }}
          securityContext:
            {{- include "common.container-security" . | nindent 12 }}
      volumes:
        - name: tmp
          emptyDir: {}
{{- end }}
{{- end }}

{{- define "common.mail-settings" -}}
MAIL_FROM: {{ .Values.mail.from | quote }}
{{- if .Values.mail.enabled }}
SMTP_URL: smtp://{{ include "common.name" (dict "root" . "part" "mail") }}:1025
{{- end }}
{{- end }}

{{- define "common.mail-secrets" -}}
{{- if not .Values.mail.enabled }}
- name: SMTP_URL
  valueFrom:
    secretKeyRef:
      name: {{ .Values.mail.external.urlSecret | required "mail.enabled is false: say in mail.external.urlSecret where SMTP's URL is" }}
      key: url
{{- end }}
{{- end }}
