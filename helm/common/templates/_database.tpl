{{/*
PostgreSQL: a server of the installation's own for trying it out, or one that somebody else runs; and on either the database
with a schema and a role per service, as shared/store/src/provision.rs has it.
*/}}
{{- define "common.database" -}}
{{- $context := dict "root" . "part" "database" }}
{{- if not .Values.postgresql.existingSecret }}
---
apiVersion: v1
kind: Secret
metadata:
  {{- include "common.metadata" $context | nindent 2 }}
  annotations:
    # The volume of the database stays when the release goes; so do the passwords that open it.
    helm.sh/resource-policy: keep
type: Opaque
data:
  {{- include "common.passwords" . | nindent 2 }}
{{- end }}
{{- if .Values.postgresql.provision }}
---
apiVersion: v1
kind: ConfigMap
metadata:
  {{- include "common.metadata" (dict "root" . "part" "provision") | nindent 2 }}
data:
  {{- include "common.provision-scripts" . | nindent 2 }}
{{- end }}
{{- if .Values.postgresql.enabled }}
---
{{ include "common.service" (merge (dict "ports" (dict "postgresql" 5432)) $context) }}
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
      {{- include "common.pod" (dict "root" . "user" 999) | nindent 6 }}
      containers:
        - name: postgresql
          image: {{ .Values.postgresql.image }}
          env:
            - name: POSTGRES_PASSWORD
              {{- include "common.database-secret-key" (dict "root" . "key" "postgres") | nindent 14 }}
            - name: POSTGRES_INITDB_ARGS
              value: --auth-host=scram-sha-256 --encoding=UTF8 --locale=C
            # A folder of the volume: its root may hold what the file system put there, which initdb refuses.
            - name: PGDATA
              value: /var/lib/postgresql/data/pgdata
          ports:
            - name: postgresql
              containerPort: 5432
          # Over TCP: while the image initialises the database, its server listens on a socket only.
          startupProbe:
            exec:
              command: [pg_isready, --host=127.0.0.1, --username=postgres, --quiet]
            periodSeconds: 2
            timeoutSeconds: 3
            failureThreshold: 60
          livenessProbe:
            exec:
              command: [pg_isready, --host=127.0.0.1, --username=postgres, --quiet]
            periodSeconds: 10
            timeoutSeconds: 3
            failureThreshold: 6
          readinessProbe:
            exec:
              command: [pg_isready, --host=127.0.0.1, --username=postgres, --quiet]
            periodSeconds: 5
            timeoutSeconds: 3
          volumeMounts:
            - name: data
              mountPath: /var/lib/postgresql/data
            - name: run
              mountPath: /var/run/postgresql
            - name: tmp
              mountPath: /tmp
          resources:
            {{- toYaml .Values.postgresql.resources | nindent 12 }}
          securityContext:
            {{- include "common.container-security" . | nindent 12 }}
      volumes:
        - name: run
          emptyDir: {}
        - name: tmp
          emptyDir: {}
  {{- include "common.volume-claim" (dict "settings" .Values.postgresql) | nindent 2 }}
{{- end }}
{{- end }}

{{/* The volume `data` of a server for trying things out. */}}
{{- define "common.volume-claim" -}}
volumeClaimTemplates:
  - apiVersion: v1
    kind: PersistentVolumeClaim
    metadata:
      name: data
    spec:
      accessModes: [ReadWriteOnce]
      {{- with .settings.storageClass }}
      storageClassName: {{ . }}
      {{- end }}
      resources:
        requests:
          storage: {{ .settings.storage }}
{{- end }}

{{/*
The passwords of this installation's own Secret, in base64: those that it has already, else new ones. Made up once in a run,
so that the Secret and the checksum of it agree.
*/}}
{{- define "common.passwords" -}}
{{- if not (hasKey . "passwords") }}
{{- $secret := lookup "v1" "Secret" .Release.Namespace (include "common.name" (dict "root" . "part" "database")) }}
{{- $kept := $secret.data | default dict }}
{{- $passwords := dict }}
{{- range concat (list "auditor" "postgres") (include "common.owners" . | fromYamlArray) | sortAlpha }}
{{- $_ := set $passwords . (get $kept . | default (randAlphaNum 32 | b64enc)) }}
{{- end }}
{{- $_ := set . "passwords" $passwords }}
{{- end }}
{{- toYaml .passwords }}
{{- end }}

{{- define "common.database-secret" -}}
{{ .Values.postgresql.existingSecret | default (include "common.name" (dict "root" . "part" "database")) }}
{{- end }}

{{- define "common.database-secret-key" -}}
valueFrom:
  secretKeyRef:
    name: {{ include "common.database-secret" .root }}
    key: {{ .key }}
{{- end }}

{{/* Where the server is: host, port, sslMode. */}}
{{- define "common.database-address" -}}
{{- $external := .Values.postgresql.external }}
{{- if .Values.postgresql.enabled -}}
host: {{ include "common.name" (dict "root" . "part" "database") }}
port: 5432
sslMode: disable
{{- else -}}
{{- if not $external.host }}
{{- fail "postgresql.enabled is false: say in postgresql.external.host where PostgreSQL is" }}
{{- end }}
{{- if and (hasPrefix "verify-" $external.sslMode) (not $external.caSecret) }}
{{- fail (printf "postgresql.external.sslMode %s needs postgresql.external.caSecret" $external.sslMode) }}
{{- end }}
{{- if and .Values.postgresql.provision (not $external.adminSecret) }}
{{- fail "postgresql.external.adminSecret is needed to create database, roles and schemas; or set postgresql.provision to false" }}
{{- end }}
{{- if and (not .Values.postgresql.provision) (not .Values.postgresql.existingSecret) }}
{{- fail "postgresql.provision is false: say in postgresql.existingSecret where the passwords of the roles are" }}
{{- end -}}
host: {{ $external.host }}
port: {{ $external.port }}
sslMode: {{ $external.sslMode }}
{{- end }}
{{- end }}

{{- define "common.database-name" -}}
{{ .Values.postgresql.database | default (replace "-" "_" .Chart.Name) }}
{{- end }}

{{/* Without the password, which is in PGPASSWORD: so it need not be fit for a URL, and the URL is no secret. */}}
{{- define "common.database-url" -}}
{{- $address := include "common.database-address" .root | fromYaml }}
{{- $name := include "common.database-name" .root }}
{{- printf "postgres://%s_%s@%s:%d/%s?sslmode=%s" $name .part $address.host (int $address.port) $name $address.sslMode }}
{{- if .root.Values.postgresql.external.caSecret }}&sslrootcert=/etc/tls/postgresql/ca.crt{{ end }}
{{- end }}

{{- define "common.database-secrets" -}}
- name: PGPASSWORD
  {{- include "common.database-secret-key" (dict "root" .root "key" .part) | nindent 2 }}
{{- end }}

{{- define "common.database-volumes" -}}
{{- if .Values.postgresql.provision }}
- name: provision
  configMap:
    name: {{ include "common.name" (dict "root" . "part" "provision") }}
{{- end }}
{{- with .Values.postgresql.external.caSecret }}
- name: postgresql-ca
  secret:
    secretName: {{ . }}
    items: [{key: ca.crt, path: ca.crt}]
{{- end }}
{{- end }}

{{- define "common.database-mounts" -}}
{{- if .Values.postgresql.external.caSecret }}
- name: postgresql-ca
  mountPath: /etc/tls/postgresql
  readOnly: true
{{- end }}
{{- end }}

{{/* The init container that creates database, role and schema of one service. */}}
{{- define "common.provision-container" -}}
{{- $root := .root }}
{{- $postgresql := $root.Values.postgresql }}
{{- $address := include "common.database-address" $root | fromYaml -}}
- name: provision
  image: {{ $postgresql.image }}
  command: [sh, /provision/provision.sh]
  env:
    - name: PGHOST
      value: {{ $address.host }}
    - name: PGPORT
      value: {{ $address.port | quote }}
    - name: PGSSLMODE
      value: {{ $address.sslMode }}
    {{- if $postgresql.external.caSecret }}
    - name: PGSSLROOTCERT
      value: /etc/tls/postgresql/ca.crt
    {{- end }}
    {{- if $postgresql.enabled }}
    - name: PGUSER
      value: postgres
    - name: PGPASSWORD
      {{- include "common.database-secret-key" (dict "root" $root "key" "postgres") | nindent 6 }}
    {{- else }}
    {{- range $variable, $key := dict "PGUSER" "username" "PGPASSWORD" "password" }}
    - name: {{ $variable }}
      valueFrom:
        secretKeyRef:
          name: {{ $postgresql.external.adminSecret }}
          key: {{ $key }}
    {{- end }}
    {{- end }}
    - name: PROVISION_DATABASE
      value: {{ include "common.database-name" $root }}
    - name: PROVISION_SCHEMA
      value: {{ .part }}
    - name: PROVISION_PASSWORD
      {{- include "common.database-secret-key" (dict "root" $root "key" .part) | nindent 6 }}
    - name: PROVISION_AUDITOR_PASSWORD
      {{- include "common.database-secret-key" (dict "root" $root "key" "auditor") | nindent 6 }}
  volumeMounts:
    - name: provision
      mountPath: /provision
      readOnly: true
    {{- with include "common.database-mounts" $root | fromYamlArray }}
    {{- toYaml . | nindent 4 }}
    {{- end }}
  resources:
    {{- toYaml $root.Values.initResources | nindent 4 }}
  securityContext:
    {{- include "common.container-security" . | nindent 4 }}
{{- end }}

{{- define "common.provision-scripts" -}}
provision.sh: |
  # Waits for the server, then has psql do the rest. What fails here is tried again with the pod.
  set -eu
  tries=60
  until pg_isready --quiet; do
    tries=$((tries - 1))
    [ "$tries" -gt 0 ] || { echo "PostgreSQL at $PGHOST:$PGPORT does not answer"; exit 1; }
    sleep 1
  done
  exec psql --no-psqlrc --quiet --dbname=postgres --file="$(dirname "$0")/provision.sql"
provision.sql: |
  -- One service's part of the database: what is missing is created, nothing is ever dropped, and a password that was
  -- changed in its Secret is changed here. Safe to run again, and by several pods at once.
  -- psql's variables are read from the environment, so that no password is among a process's arguments.
  \set ON_ERROR_STOP on
  \getenv database PROVISION_DATABASE
  \getenv schema PROVISION_SCHEMA
  \getenv password PROVISION_PASSWORD
  \getenv auditor_password PROVISION_AUDITOR_PASSWORD
  select :'database' || '_' || :'schema' as role, :'database' || '_auditor' as auditor \gset
  set client_min_messages = warning;

  -- What belongs to the whole server, one pod at a time; the lock lasts as long as this connection.
  do $$ begin perform pg_advisory_lock(hashtext('arch-homework')); end $$;
  select format('create database %I', :'database')
    where not exists (select from pg_database where datname = :'database') \gexec
  select format('create role %I login', role) from unnest(array[:'role', :'auditor']) as role
    where not exists (select from pg_roles where rolname = role) \gexec
  alter role :"role" password :'password';
  alter role :"role" set search_path = :"schema";
  -- A member of the role may give it a schema; a superuser needs no grant, another administrator does.
  grant :"role" to current_user;
  alter role :"auditor" password :'auditor_password';
  alter role :"auditor" set default_transaction_read_only = on;
  grant pg_monitor to :"auditor";
  revoke all on database :"database" from public;
  grant connect on database :"database" to :"role", :"auditor";

  -- What belongs to the database; an advisory lock does, too.
  \connect :"database"
  set client_min_messages = warning;
  do $$ begin perform pg_advisory_lock(hashtext('arch-homework')); end $$;
  revoke all on schema public from public;
  create schema if not exists :"schema" authorization :"role";
  -- The auditor sees what is there and what is to come, and changes nothing.
  grant usage on schema :"schema" to :"auditor";
  alter default privileges for role :"role" in schema :"schema" grant select on tables to :"auditor";
{{- end }}
