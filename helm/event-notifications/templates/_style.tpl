{{/* What makes the style: who calls whom, by which protocol, and who uses Kafka. */}}
{{- define "style" -}}
kafka: [billing, gateway, notification, order]
protocol: http
calls:
  # Reads, and what is passed on in every style.
  gateway: [billing, notification, order]
  # Thin events: whoever needs more than an id asks the owner.
  order: [billing]
  billing: [order]
  notification: [billing, order]
{{- end }}
