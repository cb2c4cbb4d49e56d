#!/bin/sh
# Makes the secrets of compose.prod.yml as files in deploy/docker/secrets, or in the given folder. Existing files stay, so
# it may run again at any time.
set -eu
dir=${1:-$(dirname "$0")/secrets}
umask 077
mkdir -p "$dir"
cd "$dir"

random() { head -c 32 /dev/urandom | base64 | tr -d '=+/\n'; }

# put writes a secret that does not exist yet. The containers run as users of their own, which must be able to read the
# files; the folder keeps other users of this host out.
put() {
  [ -e "$1" ] && return
  printf '%s\n' "$2" > "$1.new"
  chmod 0444 "$1.new"
  mv "$1.new" "$1"
  echo "made $1"
}
put postgres_password "$(random)"
put jwt_secret "$(random)"
put service_api_keys "$(random)"
put internal_token_secrets "$(random)"
# Empty: not used. Their owner writes into them what others have made: keys (docs/guides/payload-encryption.md),
# Stripe's, the carriers' and the mail server's.
for name in temporal_payload_keys stripe_secret_key stripe_webhook_secret carrier_webhook_secrets smtp_password; do
  put $name ""
  chmod 0644 $name
done
put rabbitmq_conf "default_user = holdfast
default_pass = $(random)"
put amqp_url "amqp://holdfast:$(sed -n 's/^default_pass = //p' rabbitmq_conf)@rabbitmq:5672/"
for database in orders inventory sandbox; do
  put ${database}_database_url "postgres://holdfast:$(cat postgres_password)@postgres:5432/$database"
done
