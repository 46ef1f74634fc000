package command

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

// Variables of a program that kills itself at a step of its models. It writes each
// step to the file that dieSaw names, a line each, before it takes the step.
const (
	dieAt   = "FEEDLAKE_TEST_DIE_AT"   // number of the step, from 1 on; 0: none
	dieWhen = "FEEDLAKE_TEST_DIE_WHEN" // before or after it had its effect
	dieSaw  = "FEEDLAKE_TEST_DIE_SAW"
)

// mainThatDies is main in a process that kills itself (SIGKILL) at a step of its
// models: from the first write of a card on, every file of the registry that is
// written and every commit to a table of ml.
func mainThatDies() {
	at, err := strconv.Atoi(os.Getenv(dieAt))
	if err != nil {
		panic(err)
	}
	saw, err := os.OpenFile(os.Getenv(dieSaw), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		panic(err)
	}
	die := func() {
		_ = syscall.Kill(os.Getpid(), syscall.SIGKILL)
		select {} // nothing more happens until the signal has come
	}
	var mu sync.Mutex
	steps := 0
	e := env{stdin: os.Stdin, stdout: os.Stdout, stderr: os.Stderr, getenv: os.LookupEnv, now: time.Now}
	e.intercept = func(op, path string, do func() error) error {
		mu.Lock()
		card := op == "write-file" && filepath.Base(path) == "card.json"
		step := card || steps > 0 && (op == "write-file" || op == "commit" && strings.HasPrefix(path, "ml."))
		if step {
			steps++
			_, _ = fmt.Fprintln(saw, op, path)
		}
		here := step && steps == at
		mu.Unlock()
		if here && os.Getenv(dieWhen) == "before" {
			die()
		}
		err := do()
		if here {
			die()
		}
		return err
	}
	os.Exit(run(context.Background(), e, os.Args[1:]))
}

// killModels runs feedlake until it dies at a step of its models, and lists the
// steps that it took.
func killModels(t *testing.T, dir string, at int, when string) []string {
	t.Helper()
	saw := filepath.Join(t.TempDir(), "saw")
	cmd := program(t, dir, "run")
	cmd.Env = append(cmd.Env, fmt.Sprint(dieAt, "=", at), dieWhen+"="+when, dieSaw+"="+saw)
	out, err := cmd.CombinedOutput()
	status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus)
	if killed := ok && status.Signaled() && status.Signal() == syscall.SIGKILL; killed != (at > 0) || !killed && err != nil {
		t.Fatalf("step %d: killed %t, %v\n%s", at, killed, err, out)
	}
	steps, err := os.ReadFile(saw)
	if err != nil {
		t.Fatal(err)
	}
	return strings.Split(strings.TrimSpace(string(steps)), "\n")
}

// modelsOf is what a run leaves of models beside the tables: how many versions
// there are, and how many promotions.
func modelsOf(t *testing.T, dir string) map[string]string {
	t.Helper()
	got := contents(t, dir)
	if len(got) != len(killTables) {
		t.Fatalf("%d answers, want %d", len(got), len(killTables))
	}
	for _, model := range []string{"sentiment", "trends"} {
		at := filepath.Join(dir, "lake", "models", model)
		cards, err := filepath.Glob(filepath.Join(at, "v*", "card.json"))
		if err != nil {
			t.Fatal(err)
		}
		audit, err := os.ReadFile(filepath.Join(at, "audit.jsonl"))
		if err != nil {
			t.Fatal(err)
		}
		got[model] = fmt.Sprintf("%d versions, %d promotions", len(cards), strings.Count(string(audit), "\n"))
	}
	return got
}

// TestWholeModelKilled kills runs (SIGKILL) at every step between a model's card,
// its promotion and its scores, and wants the next run to make every table as an
// unbroken run makes it, with one version of each model that was promoted once.
func TestWholeModelKilled(t *testing.T) {
	t.Parallel()
	dir := killDir(t)
	config := filepath.Join(dir, "feedlake.yaml")
	if err := os.WriteFile(config, []byte(strings.Replace(killConfig, "posts: 6000", "posts: 600", 1)), 0o600); err != nil {
		t.Fatal(err)
	}
	for _, step := range []string{"ingest", "transform"} {
		if out, err := program(t, dir, step).CombinedOutput(); err != nil {
			t.Fatalf("%s: %v\n%s", step, err, out)
		}
	}
	// A lake's files hold absolute places: every run begins in this folder with this lake.
	lakeDir, begun := filepath.Join(dir, "lake"), filepath.Join(t.TempDir(), "begun")
	if err := os.CopyFS(begun, os.DirFS(lakeDir)); err != nil {
		t.Fatal(err)
	}
	steps := killModels(t, dir, 0, "")
	want := modelsOf(t, dir)
	if n := len(steps); n < 10 || steps[0] != "write-file models/sentiment/v0001/card.json" || steps[n-1] != "commit ml.trends" {
		t.Fatalf("steps of the models:\n%s", strings.Join(steps, "\n"))
	}
	for i, step := range steps {
		whens := []string{"after"}
		if i == 0 || step == "commit ml.sentiment_scores" { // elsewhere the step before has just been taken
			whens = []string{"before", "after"}
		}
		for _, when := range whens {
			t.Run(fmt.Sprint(i+1, " ", when, " ", step), func(t *testing.T) {
				for _, folder := range []string{lakeDir, filepath.Join(dir, "publish")} {
					if err := os.RemoveAll(folder); err != nil {
						t.Fatal(err)
					}
				}
				if err := os.CopyFS(lakeDir, os.DirFS(begun)); err != nil {
					t.Fatal(err)
				}
				if d := cmp.Diff(steps[:i+1], killModels(t, dir, i+1, when)); d != "" {
					t.Fatalf("steps until the kill (-unbroken +broken): %s", d)
				}
				runWhole(t, dir)
				if d := cmp.Diff(want, modelsOf(t, dir)); d != "" {
					t.Errorf("(-unbroken +broken): %s", d)
				}
			})
		}
	}
}
