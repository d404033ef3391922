{{- define "common.notes" -}}
{{ .Chart.Name }} is installed. Try the scenario on it:

  helm test {{ .Release.Name }} --namespace {{ .Release.Namespace }} --logs

Or by hand: this makes its address http://localhost:8080, with all endpoints at http://localhost:8080/api-docs

  kubectl --namespace {{ .Release.Namespace }} port-forward service/{{ include "common.name" (dict "root" . "part" "gateway") }} 8080:http
{{- if .Values.mail.enabled }}

and this shows the emails at http://localhost:8025

  kubectl --namespace {{ .Release.Namespace }} port-forward service/{{ include "common.name" (dict "root" . "part" "mail") }} 8025:http
{{- end }}
{{- if .Values.ingress.enabled }}

Through the ingress it is http{{ if .Values.ingress.tlsSecret }}s{{ end }}://{{ .Values.ingress.host }}{{ .Values.ingress.pathPrefix | trimSuffix "/" }}/, once that name leads to it.
{{- end }}
{{- if .Values.postgresql.enabled }}

The PostgreSQL of this installation is for trying it out: one server, no backup. helm/README.md says what to set for production.
{{- end }}
{{- end }}
