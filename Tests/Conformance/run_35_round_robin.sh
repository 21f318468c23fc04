#!/usr/bin/env bash
# SPDX-License-Identifier: MIT
# Stock clients through nginx, which gives each request to the next of two instances without any
# stickiness: a second ChatService joins the suite's store, nginx counts what it was answered.
set -euo pipefail
cd "$(dirname "$0")/../.."

work=$(mktemp -d)
second= balancer=
finish() {
    [ -z "$balancer" ] || kill "$balancer" 2>/dev/null || true
    [ -z "$second" ] || kill "$second" 2>/dev/null || true
    wait 2>/dev/null || true
    rm -rf "$work"
}
trap finish EXIT

mapfile -t ports < <(python3 - <<'PY'
import socket
held = [socket.socket() for _ in range(3)]
for s in held:
    s.bind(("127.0.0.1", 0))
for s in held:
    print(s.getsockname()[1])
PY
)
first=${CHAT_URL##*:}

CHAT_PORT=${ports[0]} CHAT_LOOPS=2 CHAT_DATA_DIR=$DATA_DIR/chat AUTH_URL=$AUTH_URL AUTH_ISSUER=$AUTH_URL \
    CHAT_SERVICE_SECRET_FILE=$DATA_DIR/secrets/chat-service LOG_LEVEL=notice \
    "$BIN_DIR/ChatService" >"$work/chat.log" 2>&1 </dev/null &
second=$!

# Once with kept connections, on which requests of many sessions take turns, once without.
cat >"$work/nginx.conf" <<CONF
daemon off;
master_process off;
pid $work/nginx.pid;
error_log $work/error.log;
events { worker_connections 1024; }
http {
    access_log off;
    log_format answers '\$status \$upstream_addr \$request_method \$arg_transport';
    client_body_temp_path $work/body;
    proxy_temp_path $work/proxy;
    fastcgi_temp_path $work/fastcgi;
    uwsgi_temp_path $work/uwsgi;
    scgi_temp_path $work/scgi;
    map \$http_upgrade \$wanted { default upgrade; '' ''; }
    upstream kept { server 127.0.0.1:$first; server 127.0.0.1:${ports[0]}; keepalive 8; }
    upstream fresh { server 127.0.0.1:$first; server 127.0.0.1:${ports[0]}; }
    proxy_http_version 1.1;
    proxy_set_header Host \$host:\$server_port;
    proxy_set_header Upgrade \$http_upgrade;
    proxy_set_header Connection \$wanted;
    proxy_next_upstream off;
    server {
        listen 127.0.0.1:${ports[1]};
        access_log $work/answers.log answers;
        location / { proxy_pass http://kept; }
    }
    server {
        listen 127.0.0.1:${ports[2]};
        access_log $work/answers.log answers;
        location / { proxy_pass http://fresh; proxy_set_header Connection \$http_connection; }
    }
}
CONF
nginx -c "$work/nginx.conf" -p "$work" 2>"$work/nginx.log" &
balancer=$!

for _ in $(seq 100); do
    if curl -fs "http://127.0.0.1:${ports[0]}/readyz" >/dev/null \
        && curl -fs "http://127.0.0.1:${ports[1]}/healthz" >/dev/null; then
        break
    fi
    sleep 0.1
done

status=0
PYTHONUNBUFFERED=1 KEPT_URL=http://127.0.0.1:${ports[1]} FRESH_URL=http://127.0.0.1:${ports[2]} \
    INSTANCES="$CHAT_URL http://127.0.0.1:${ports[0]}" \
    python3 Tests/Conformance/round_robin.py || status=$?
CHAT_URL=http://127.0.0.1:${ports[1]} node Tests/Conformance/round_robin.mjs || status=$?

total=$(wc -l <"$work/answers.log")
refused=$(grep -c '^400 ' "$work/answers.log" || true)
failed=$(grep -E '^[45]' "$work/answers.log" | grep -vc '^499 ' || true)  # 499: the client hung up, as at its end
if [ "$status" -ne 0 ] || [ "$refused" -ne 0 ]; then
    sort "$work/answers.log" | uniq -c | sort -rn | head -20
    cat "$work/error.log" | tail -5
    tail -n 20 "$work/chat.log"
fi
passed=$(curl -fs "http://127.0.0.1:${ports[0]}/metrics" | sed -n 's/^instance_requests_passed_total //p')
echo "instance 2 handed over ${passed:-0} requests"
if [ "$status" -eq 0 ] && [ "$refused" -eq 0 ] && [ "${passed%%.*}" -gt 0 ]; then
    echo "round robin passed: $total requests over two instances, 0 answered 400, $failed other errors"
else
    echo "round robin FAILED: $total requests, $refused answered 400, $failed errors in all"
    exit 1
fi
