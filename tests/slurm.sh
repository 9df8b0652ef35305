#!/usr/bin/env bash
# Sweeps on a real SLURM of one machine, which this script installs (Debian, as root), starts and takes down.
#   tests/slurm.sh [FOLDER]
# What it shows is in docs/sweeps.md. Nothing of the machine's own SLURM, if it has one, is touched.
set -euo pipefail
cd "$(dirname "$0")/.."
python=.venv/bin/python
folder=${1:-$(mktemp -d /tmp/pare-slurm.XXXX)}
mkdir -p "$folder"/{state,spool}
host=$(hostname -s)

say() { printf '\n== %s\n' "$*"; }
number() { grep -oE "$1=[0-9]+" <<<"$2" | head -1; }

if ! command -v slurmctld munged >/dev/null; then
  say "installing slurm-wlm and munge"
  apt-get update -qq
  DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends slurm-wlm munge >/dev/null
fi

hardware=$(slurmd -C | head -1)
export SLURM_CONF=$folder/slurm.conf
cat >"$SLURM_CONF" <<CONF
ClusterName=pare
SlurmctldHost=$host(127.0.0.1)
SlurmctldPort=16817
SlurmdPort=16818
SlurmUser=root
AuthInfo=socket=$folder/munge.socket
StateSaveLocation=$folder/state
SlurmdSpoolDir=$folder/spool
SlurmctldPidFile=$folder/slurmctld.pid
SlurmdPidFile=$folder/slurmd.pid
SlurmctldLogFile=$folder/slurmctld.log
SlurmdLogFile=$folder/slurmd.log
ProctrackType=proctrack/linuxproc
TaskPlugin=task/none
MpiDefault=none
SelectType=select/cons_tres
SelectTypeParameters=CR_Core
PreemptType=preempt/partition_prio
PreemptMode=REQUEUE
ReturnToService=2
KillWait=20
NodeName=$host NodeAddr=127.0.0.1 $(number CPUs "$hardware") $(number SocketsPerBoard "$hardware") $(number CoresPerSocket "$hardware") $(number ThreadsPerCore "$hardware")
PartitionName=low Nodes=$host Default=YES MaxTime=INFINITE State=UP PriorityTier=1
PartitionName=patient Nodes=$host MaxTime=INFINITE State=UP PriorityTier=1 GraceTime=30
PartitionName=high Nodes=$host MaxTime=INFINITE State=UP PriorityTier=10 PreemptMode=OFF
CONF

down() {
  scancel --me --quiet 2>/dev/null || true
  for daemon in slurmctld slurmd munged; do
    [[ -f $folder/$daemon.pid ]] && kill "$(cat "$folder/$daemon.pid")" 2>/dev/null
  done
  true
}
trap down EXIT
(umask 077; head -c 1024 /dev/urandom >"$folder/munge.key")
munged --force --key-file="$folder/munge.key" --socket="$folder/munge.socket" --pid-file="$folder/munged.pid" \
  --log-file="$folder/munged.log" --seed-file="$folder/munge.seed"
slurmctld -f "$SLURM_CONF"
slurmd -f "$SLURM_CONF"
until [[ $(sinfo --noheader --partition=low --format=%T) == idle ]]; do sleep 1; done
say "$(sinfo --version): $(sinfo --noheader --partition=low --format='%D machine, %c cores')"

small=(task.source.train=400 task.source.dev=60 task.source.test=80 task.source.unlabelled=60 model=micro
  measure.launches=2 measure.more=0 measure.seconds=0.2 measure.peak=false measure.texts=20 train.threads=1
  compression=none engine=slurm engine.poll_s=1)

sweep() { # NAME OVERRIDE…
  "$python" run.py -m "${small[@]}" "store.root=$folder/$1/store" "hydra.sweep.dir=$folder/$1/jobs" "${@:2}" 2>&1
}
states() { squeue --me --states=all --noheader --sort=i --format='%i %j %T %r %E'; }
training() { # NAME: waits until its first stage trains, prints the id of its job
  until compgen -G "$folder/$1/store/tmp/*.????????" >/dev/null; do sleep 0.2; done
  sleep 5
  squeue --me --noheader --states=running --format=%i
}
checkpoint() { # NAME: steps that its checkpoint has
  "$python" - "$folder/$1/store/tmp" <<'PY'
import json, pathlib, struct, sys
for file in pathlib.Path(sys.argv[1]).glob("*.scratch/training.safetensors"):
    with file.open("rb") as opened:
        header = json.loads(opened.read(struct.unpack("<Q", opened.read(8))[0]))
    print("checkpoint at step", json.loads(header["__metadata__"]["standing"])["step"])
PY
}
restarts() { scontrol show job "$1" | grep -oE 'JobState=\S+|Restarts=[0-9]+' | xargs; }
hurry() { # JOB PROCESS: SLURM lets what it queued again wait for two minutes, so that nothing is left of before
  while kill -0 "$2" 2>/dev/null; do
    for waiting in $(squeue --me --noheader --states=pending --format='%i %r' | awk '$2 == "BeginTime" {print $1}'); do
      sleep 10
      scontrol update "jobid=$waiting" starttime=now || true
    done
    sleep 1
  done
  restarts "$1"
}

say "two jobs, of which the first cannot be trained"
sweep failing train.steps=25 train.learning_rate=1e30,1e-3 || echo "exit code $?"
states

say "a stage is queued again while it trains (scontrol requeue)"
sweep requeued train.steps=3000 >"$folder/requeued.out" &
id=$(training requeued)
scontrol requeue "$id"
until restarts "$id" | grep -q PENDING; do sleep 1; done
sleep 5
checkpoint requeued
hurry "$id" $!
grep -E 'job 0|computed' "$folder/requeued.out"

say "a stage comes to the end of its two minutes while it trains: notice, checkpoint, queue"
sweep late train.steps=12000 engine.minutes=2 engine.notice_s=30 engine.requeues=20 >"$folder/late.out" &
id=$(training late)
until restarts "$id" | grep -qE 'PENDING|COMPLETED'; do sleep 1; done
checkpoint late
hurry "$id" $!
grep -E 'job 0|computed' "$folder/late.out"

for partition in low patient; do
  say "a stage makes way for a more important job (partition $partition)"
  sweep "$partition" train.steps=3000 "engine.partition=$partition" >"$folder/$partition.out" &
  id=$(training "$partition")
  srun --quiet --partition=high --exclusive sleep 3
  checkpoint "$partition"
  restarts "$id"
  hurry "$id" $!
  grep -E 'job 0|computed|error' "$folder/$partition.out"
done

say "the sweep is killed, its jobs are not; the same command waits for what they do"
sweep killed train.steps=2000 >"$folder/killed.out" &
id=$(training killed)
kill -KILL "$(pgrep -P $!)"
states | tail -4
sweep killed train.steps=2000 | grep -E 'stages|job 0'
states | tail -8

say "the sweep is asked to end"
sweep asked train.steps=100000 >"$folder/asked.out" &
id=$(training asked)
kill -TERM "$(pgrep -P $!)"
wait $! || echo "exit code $?"
while [[ -n $(squeue --me --noheader) ]]; do sleep 1; done
checkpoint asked
states | tail -4
