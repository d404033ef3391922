{{/* What makes the style: who calls whom, by which protocol, and whether there is Kafka. */}}
{{- define "style" -}}
kafka: true
protocol: http
calls:
  # Reads, and what is passed on in every style.
  gateway: [billing, notification, order]
  # Fat events: nobody asks anybody.
  order: []
  billing: []
  notification: []
{{- end }}
