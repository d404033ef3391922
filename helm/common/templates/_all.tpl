{{/*
Everything that an installation of a style consists of. A style's chart says in its template "style" who calls whom, by which
protocol, and who uses Kafka; the rest follows from that.
*/}}
{{- define "common.all" -}}
{{- $style := include "style" . | fromYaml }}
{{- range $service := include "common.services" . | fromYamlArray }}
{{- $context := dict "root" $ "part" $service }}
---
{{ include "common.configmap" $context }}
---
{{ include "common.deployment" $context }}
{{- if (index $.Values.services $service).autoscaling.enabled }}
---
{{ include "common.autoscaler" $context }}
{{- end }}
---
{{ include "common.service" (dict "root" $ "part" $service "ports" (dict (include "common.protocol" $context) 8080)) }}
---
{{ include "common.disruption-budget" $context }}
{{- end }}
{{- include "common.database" . }}
{{- if $style.kafka }}
{{- include "common.kafka" . }}
{{- end }}
{{- include "common.mail" . }}
{{- include "common.ingress" . }}
{{- include "common.network" . }}
{{- include "common.test" . }}
{{- end }}
