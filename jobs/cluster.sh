#!/usr/bin/env bash
# A Spark cluster of plain processes on this machine: a master and two workers, as docker/compose.yaml has them.
#
#   jobs/cluster.sh start [FOLDER]    starts it; logs and process ids go to FOLDER (default ./cluster), one cluster each
#   jobs/cluster.sh stop [FOLDER]     ends exactly what was started there, and returns when it has ended
#
# The master listens on MASTER_PORT (7077) and its page on MASTER_UI_PORT (8080), on this machine only. Any folder of
# this machine will do for the catalog, since its workers see them all:
#
#   spark-submit --master spark://127.0.0.1:7077 jobs/census.py --catalog cluster/catalog
set -euo pipefail

command=${1:?start or stop}
folder=${2:-cluster}
host=127.0.0.1
port=${MASTER_PORT:-7077}
ui=${MASTER_UI_PORT:-8080}
python=${PYTHON:-$( [ -x "$(dirname "$0")/../.venv/bin/python" ] && echo "$(dirname "$0")/../.venv/bin/python" || echo python3)}

refuse_a_second() {  # whose process ids would be written over those of the first, which nobody could stop then
  for file in "$folder"/*.pid; do
    if [ -f "$file" ] && kill -0 -- "-$(cat "$file")" 2>/dev/null; then
      echo "a cluster runs from $folder; $0 stop $folder ends it" >&2
      exit 1
    fi
  done
}

refuse_a_taken_port() {  # which Spark would pass over for the next one, where nobody looks for it
  for number in "$port" "$ui"; do
    if (exec 3<>"/dev/tcp/$host/$number") 2>/dev/null; then
      echo "something listens on port $number already; set MASTER_PORT and MASTER_UI_PORT to others" >&2
      exit 1
    fi
  done
}

start_one() {  # name, class, arguments...
  local name=$1
  shift
  # A group of its own, so that what it starts (executors, Python workers) ends with it.
  setsid "$SPARK_HOME/bin/spark-class" "$@" >"$folder/$name.log" 2>&1 &
  # Before it leads its group, nobody could end it by that: a stop right after the start would pass it over.
  while kill -0 $! 2>/dev/null && ! kill -0 -- "-$!" 2>/dev/null; do sleep 0.01; done
  echo $! >"$folder/$name.pid"
}

answers() {  # whether the master says on its page that it is alive, with this many workers
  "$python" - "$1" "http://$host:$ui/json/" <<'PY'
import json
import sys
import urllib.request

try:
    with urllib.request.urlopen(sys.argv[2], timeout=2) as page:
        said = json.load(page)
except OSError:
    sys.exit(1)
sys.exit(0 if said["status"] == "ALIVE" and said["aliveworkers"] == int(sys.argv[1]) else 1)
PY
}

all_run() {
  for file in "$folder"/*.pid; do
    kill -0 "$(cat "$file")" 2>/dev/null || return
  done
}

wait_for() {  # how many workers
  for _ in $(seq 120); do
    answers "$1" && return
    all_run || break
    sleep 0.5
  done
  echo "the cluster did not come up with $1 workers; see the logs in $folder" >&2
  stop
  exit 1
}

stop() {
  for file in "$folder"/*.pid; do
    [ -f "$file" ] && kill -TERM -- "-$(cat "$file")" 2>/dev/null || true
  done
  for file in "$folder"/*.pid; do
    [ -f "$file" ] || continue
    for _ in $(seq 200); do
      kill -0 -- "-$(cat "$file")" 2>/dev/null || break
      sleep 0.05
    done
    kill -KILL -- "-$(cat "$file")" 2>/dev/null || true
    rm "$file"
  done
}

case $command in
  start)
    refuse_a_second
    refuse_a_taken_port
    export SPARK_HOME=${SPARK_HOME:-$("$python" -c 'import importlib.util as u; print(u.find_spec("pyspark").submodule_search_locations[0])')}
    export SPARK_LOCAL_IP=$host
    mkdir -p "$folder"
    folder=$(cd "$folder" && pwd)
    trap 'stop; exit 130' INT TERM  # half a cluster is of no use
    start_one master org.apache.spark.deploy.master.Master --host "$host" --port "$port" --webui-port "$ui"
    wait_for 0
    for number in 1 2; do
      start_one "worker-$number" org.apache.spark.deploy.worker.Worker "spark://$host:$port" \
        --cores "${WORKER_CORES:-1}" --memory "${WORKER_MEMORY:-1g}" --webui-port 0 --work-dir "$folder/work-$number"
    done
    wait_for 2
    echo "spark://$host:$port"
    ;;
  stop)
    stop
    ;;
  *)
    echo "usage: $0 start|stop [FOLDER]" >&2
    exit 2
    ;;
esac
