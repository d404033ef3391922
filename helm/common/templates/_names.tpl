{{/* The services of the style: those of which it says whom they call. */}}
{{- define "common.services" -}}
{{ (include "style" . | fromYaml).calls | keys | sortAlpha | toYaml }}
{{- end }}

{{/* Those of them that own tables. */}}
{{- define "common.owners" -}}
{{ without (include "common.services" . | fromYamlArray) "gateway" | toYaml }}
{{- end }}

{{/*
The name of a part of this installation: that of its release and of the part. Cut off so that the longest part, `notification`,
and what Kubernetes appends to the names of pods still fit into 63 characters.
*/}}
{{- define "common.name" -}}
{{ .root.Release.Name | trunc 40 | trimSuffix "-" }}-{{ .part }}
{{- end }}

{{/* What tells the pods of a part from all others. */}}
{{- define "common.selector" -}}
app.kubernetes.io/name: {{ .root.Chart.Name }}
app.kubernetes.io/instance: {{ .root.Release.Name }}
app.kubernetes.io/component: {{ .part }}
{{- end }}

{{- define "common.labels" -}}
{{ include "common.selector" . }}
app.kubernetes.io/version: {{ include "common.label" .root.Chart.AppVersion | quote }}
app.kubernetes.io/part-of: arch-homework
app.kubernetes.io/managed-by: {{ .root.Release.Service }}
helm.sh/chart: {{ printf "%s-%s" .root.Chart.Name .root.Chart.Version | include "common.label" }}
{{- end }}

{{/* A version as the value of a label, which takes no `+` and no more than 63 characters. */}}
{{- define "common.label" -}}
{{ replace "+" "_" . | trunc 63 | trimAll "-_." }}
{{- end }}

{{- define "common.metadata" -}}
name: {{ include "common.name" . }}
namespace: {{ .root.Release.Namespace }}
labels:
  {{- include "common.labels" . | nindent 2 }}
{{- end }}

{{/* What a service is called by, which is the name of its port, too. Clients call the gateway, and they do it over HTTP. */}}
{{- define "common.protocol" -}}
{{ if eq .part "gateway" }}http{{ else }}{{ (include "style" .root | fromYaml).protocol }}{{ end }}
{{- end }}

{{/* The Service of a part; `ports` has its ports by name. */}}
{{- define "common.service" -}}
apiVersion: v1
kind: Service
metadata:
  {{- include "common.metadata" . | nindent 2 }}
spec:
  {{- if .ports.grpc }}
  # Headless: the name stands for all pods that are ready, and callers spread their calls over them. Behind one address every
  # caller would have one connection, and so one pod.
  clusterIP: None
  {{- end }}
  selector:
    {{- include "common.selector" . | nindent 4 }}
  ports:
    {{- range $name, $port := .ports }}
    - name: {{ $name }}
      port: {{ $port }}
      targetPort: {{ $name }}
      {{- if eq $name "grpc" }}
      # HTTP/2 without TLS: a mesh need not find out.
      appProtocol: kubernetes.io/h2c
      {{- end }}
    {{- end }}
{{- end }}

{{/* What all pods have in common; `user` runs them, `volumes` are theirs as YAML. */}}
{{- define "common.pod" -}}
# Nothing here talks to Kubernetes, and nobody needs the environment variables that it makes of every Service: one that is
# called `kafka` would even set KAFKA_PORT.
automountServiceAccountToken: false
enableServiceLinks: false
securityContext:
  runAsNonRoot: true
  runAsUser: {{ .user }}
  runAsGroup: {{ .user }}
  fsGroup: {{ .user }}
  # A volume with many files is not gone through at every start.
  fsGroupChangePolicy: OnRootMismatch
  seccompProfile:
    type: RuntimeDefault
{{- with .root.Values.imagePullSecrets }}
imagePullSecrets:
  {{- toYaml . | nindent 2 }}
{{- end }}
{{- end }}

{{/* What all containers have in common. */}}
{{- define "common.container-security" -}}
allowPrivilegeEscalation: false
readOnlyRootFilesystem: true
capabilities:
  drop: [ALL]
{{- end }}
