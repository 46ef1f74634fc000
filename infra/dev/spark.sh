#!/usr/bin/env bash
# usage: spark.sh install|up|url|check|down
# A Spark Connect server for development and tests, in .deps/spark on 127.0.0.1:15002 (FEEDLAKE_SPARK_PORT). It knows no
# catalog: every session brings its own (transforms/spark). FEEDLAKE_SPARK_MEMORY bounds the driver (4g), which does all
# the work in local[2]; servers on other ports run beside each other. Spark's own pages are on the port after.
set -euo pipefail
root=$(cd "$(dirname "$0")/../.." && pwd)
. "$root/infra/dev/lib.sh"

spark=4.1.4
# The libraries for Iceberg, its catalogs and S3. hadoop-aws is the version of the Hadoop in Spark; it takes Amazon's
# classes from iceberg-aws-bundle, and the few that lack there from two small jars.
jars=(
  org.apache.iceberg:iceberg-spark-runtime-4.1_2.13:1.12.0
  org.apache.iceberg:iceberg-aws-bundle:1.12.0
  org.postgresql:postgresql:42.7.7
  org.xerial:sqlite-jdbc:3.50.3.0
  org.apache.hadoop:hadoop-aws:3.4.2
  software.amazon.awssdk:s3-transfer-manager:2.54.17
  software.amazon.awssdk:apache-client:2.54.17
)

dir=$root/.deps/spark
venv=$dir/venv-$spark
port=${FEEDLAKE_SPARK_PORT:-15002}
run=$dir/run-$port

url() { echo "sc://127.0.0.1:$port"; }
listens() { (exec 3<>"/dev/tcp/127.0.0.1/$port") 2>/dev/null; }
running() { [ -e "$run/pid" ] && kill -0 "$(cat "$run/pid")" 2>/dev/null; }

java17() {
  local home
  for home in ${JAVA_HOME:+"$JAVA_HOME"} /usr/lib/jvm/*17*; do
    if [ -x "$home/bin/java" ] && "$home/bin/java" -version 2>&1 | grep -q 'version "17'; then
      echo "$home"
      return
    fi
  done
  return 1
}

# fetch puts the jars into $dir/jars, and nothing else.
fetch() {
  local want work jar
  want=$(printf '%s\n' "${jars[@]}")
  [ "$(cat "$dir/jars/.complete" 2>/dev/null)" = "$want" ] && return
  has mvn || packages "Spark's libraries" maven
  say "downloading Spark's libraries for Iceberg and S3"
  work=$(mktemp -d "$dir/jars.XXXXXX")
  {
    echo '<project><modelVersion>4.0.0</modelVersion><groupId>feedlake</groupId><artifactId>jars</artifactId><version>1</version><packaging>pom</packaging><dependencies>'
    for jar in "${jars[@]}"; do
      IFS=: read -r group name version <<<"$jar"
      echo "<dependency><groupId>$group</groupId><artifactId>$name</artifactId><version>$version</version></dependency>"
    done
    echo '</dependencies></project>'
  } >"$work/pom.xml"
  if ! mvn -q -B -f "$work/pom.xml" org.apache.maven.plugins:maven-dependency-plugin:3.8.1:copy-dependencies \
    -DexcludeTransitive=true -DoutputDirectory="$work/jars" >"$dir/jars.log" 2>&1; then
    rm -rf "$work"
    die "Maven could not download Spark's libraries: $(grep -m 1 ERROR "$dir/jars.log")"
  fi
  printf '%s\n' "${jars[@]}" >"$work/jars/.complete"
  rm -rf "$dir/jars"
  mv "$work/jars" "$dir/jars"
  rm -rf "$work"
}

up() {
  if running && listens; then
    say "Spark runs: $(url)"
    return
  fi
  listens && die "port $port is taken by another program: choose one with FEEDLAKE_SPARK_PORT"
  local home java
  home=$(echo "$venv"/lib/python3*/site-packages/pyspark)
  [ -e "$venv/.complete" ] && [ -e "$dir/jars/.complete" ] || die "Spark is not installed: infra/dev/spark.sh install"
  java=$(java17) || die "Java 17 is not installed: infra/dev/spark.sh install"
  mkdir -p "$run"
  cd "$run"
  # What Spark remembers of finished work for its own pages is kept small: a server that runs for weeks must not fill up.
  JAVA_HOME=$java SPARK_HOME=$home SPARK_LOCAL_IP=127.0.0.1 SPARK_LOCAL_HOSTNAME=localhost SPARK_NO_DAEMONIZE=1 \
    setsid nohup "$home/bin/spark-submit" --master "local[${FEEDLAKE_SPARK_CORES:-2}]" --driver-memory "${FEEDLAKE_SPARK_MEMORY:-4g}" \
    --class org.apache.spark.sql.connect.service.SparkConnectServer --jars "$(printf '%s,' "$dir"/jars/*.jar)" \
    --conf spark.connect.grpc.binding.address=127.0.0.1 --conf "spark.connect.grpc.binding.port=$port" \
    --conf spark.driver.bindAddress=127.0.0.1 --conf spark.driver.host=127.0.0.1 --conf "spark.local.dir=$run/local" \
    --conf spark.ui.retainedJobs=100 --conf spark.ui.retainedStages=100 --conf spark.ui.retainedTasks=1000 \
    --conf spark.sql.ui.retainedExecutions=20 --conf spark.connect.ui.retainedSessions=20 --conf spark.connect.ui.retainedStatements=20 \
    --conf "spark.sql.warehouse.dir=$run/warehouse" --conf "spark.log.level=${FEEDLAKE_SPARK_LOG:-WARN}" --conf "spark.ui.port=$((port + 1))" --conf spark.sql.session.timeZone=UTC \
    "$home"/jars/spark-connect_2.13-*.jar >"$run/log" 2>&1 </dev/null &
  echo $! >"$run/pid"
  for _ in $(seq 600); do
    if listens; then
      say "Spark runs: $(url)"
      return
    fi
    running || break
    sleep 0.2
  done
  down
  die "Spark did not start, see $run/log: $(grep -m 1 -E 'Exception|Error' "$run/log" || tail -n 1 "$run/log")"
}

down() {
  if running; then
    local pid
    pid=$(cat "$run/pid")
    kill "$pid"
    for _ in $(seq 100); do
      kill -0 "$pid" 2>/dev/null || break
      sleep 0.1
    done
    kill -KILL "$pid" 2>/dev/null || true
  fi
  rm -rf "$run/pid" "$run/local"
}

case ${1:-} in
  install)
    java17 >/dev/null || packages "Spark" openjdk-17-jre-headless
    java17 >/dev/null || die "Spark needs Java 17; none is in JAVA_HOME or /usr/lib/jvm"
    mkdir -p "$dir"
    if [ ! -e "$venv/.complete" ]; then
      say "downloading Spark $spark (455 MB, once)"
      rm -rf "$venv"
      python3 -m venv "$venv"
      "$venv/bin/pip" install -q --disable-pip-version-check "pyspark==$spark" || die "pip could not install pyspark $spark"
      touch "$venv/.complete"
    fi
    fetch
    ;;
  up) up ;;
  url) url ;;
  check)
    listens || die "no Spark listens on port $port: infra/dev/spark.sh up"
    say "Spark listens: $(url)"
    ;;
  down) down ;;
  *) die "usage: spark.sh install|up|url|check|down" ;;
esac
