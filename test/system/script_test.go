package system

import (
	"bytes"
	"encoding/json"
	"errors"
	"maps"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"testing"

	"github.com/rogpeppe/go-internal/testscript"

	"writ/setup"
)

// TestCommands runs the scripts in testdata/script, one world for all of them:
// $WORLD is its directory. A script registers people of its own. Beside the usual
// commands there are:
//
//	exits CODE PROGRAM ARG...   the program ends with this exit code
//	json KEY...                 standard output is one JSON object with these keys, or an array of such
//	flip FILE OFFSET            change one bit of a file; OFFSET may be "middle"
//	match NAME BEFORE AFTER     set NAME to what stands between in standard output
func TestCommands(t *testing.T) {
	w := newWorld(t, setup.WorldOptions{Cap: 1000})
	testscript.Run(t, testscript.Params{
		Dir:                 filepath.Join("testdata", "script"),
		RequireExplicitExec: true,
		RequireUniqueNames:  true,
		Setup: func(env *testscript.Env) error {
			env.Setenv("PATH", filepath.Dir(binary)+string(os.PathListSeparator)+env.Getenv("PATH"))
			env.Setenv("WORLD", w.Dir)
			env.Setenv("DEPLOYMENT", w.path(setup.DeploymentFile))
			env.Setenv("LEDGER", w.Deployment.Ledger)
			env.Setenv("DIRECTORY", w.Deployment.Directory)
			env.Setenv("HOME", env.WorkDir)
			return copyAgency(w, filepath.Join(env.WorkDir, "agency"))
		},
		Cmds: map[string]func(*testscript.TestScript, bool, []string){
			"exits": exits, "json": isJSON, "flip": flip, "match": match,
		},
	})
}

// copyAgency gives a script the agency's keys with cases of its own.
func copyAgency(w *world, dir string) error {
	if err := os.MkdirAll(filepath.Join(dir, "readers"), 0o700); err != nil {
		return err
	}
	for _, name := range []string{setup.DeploymentFile, "agency.key", "reader.key", filepath.Join("readers", "inspector-1.public.json")} {
		b, err := os.ReadFile(w.path("agency", name))
		if err == nil {
			err = os.WriteFile(filepath.Join(dir, name), b, 0o600)
		}
		if err != nil {
			return err
		}
	}
	return nil
}

func exits(ts *testscript.TestScript, neg bool, args []string) {
	if neg || len(args) < 2 {
		ts.Fatalf("usage: exits CODE PROGRAM ARG...")
	}
	want, err := strconv.Atoi(args[0])
	ts.Check(err)
	err = ts.Exec(args[1], args[2:]...)
	code := 0
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		code = exit.ExitCode()
	} else {
		ts.Check(err)
	}
	errs := ts.ReadFile("stderr")
	if code != want {
		ts.Fatalf("exit code %d, want %d:\n%s%s", code, want, ts.ReadFile("stdout"), errs)
	}
	if code != 0 && !strings.Contains("\n"+errs, "\nerror: ") {
		ts.Fatalf("no line error: in %q", errs)
	}
	for _, ugly := range []string{"panic", "goroutine ", "%!", "<nil>", "context canceled", "context deadline"} {
		if strings.Contains(errs, ugly) {
			ts.Fatalf("%q in %q", ugly, errs)
		}
	}
}

func isJSON(ts *testscript.TestScript, neg bool, args []string) {
	d := json.NewDecoder(strings.NewReader(ts.ReadFile("stdout")))
	var v any
	ts.Check(d.Decode(&v))
	if d.More() {
		ts.Fatalf("more than one document")
	}
	list, ok := v.([]any)
	if !ok {
		list = []any{v}
	}
	for _, v := range list {
		object, ok := v.(map[string]any)
		if !ok {
			ts.Fatalf("%v is no object", v)
		}
		if keys := slices.Sorted(maps.Keys(object)); !slices.Equal(keys, slices.Sorted(slices.Values(args))) {
			ts.Fatalf("keys %v, want %v", keys, args)
		}
		for k, v := range object {
			if v == nil {
				ts.Fatalf("%q is null", k)
			}
		}
	}
}

func flip(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 2 {
		ts.Fatalf("usage: flip FILE OFFSET")
	}
	path := ts.MkAbs(args[0])
	b, err := os.ReadFile(path)
	ts.Check(err)
	at := len(b) / 2
	if args[1] != "middle" {
		at, err = strconv.Atoi(args[1])
		ts.Check(err)
	}
	was := bytes.Clone(b)
	b[at] ^= 4
	if bytes.Equal(b, was) {
		ts.Fatalf("nothing changed")
	}
	ts.Check(os.WriteFile(path, b, 0o600))
}

// match sets a variable to what a pattern captures in standard output.
func match(ts *testscript.TestScript, neg bool, args []string) {
	if len(args) != 3 {
		ts.Fatalf("usage: match NAME BEFORE AFTER")
	}
	_, rest, ok := strings.Cut(ts.ReadFile("stdout"), args[1])
	value, _, ok2 := strings.Cut(rest, args[2])
	if !ok || !ok2 {
		ts.Fatalf("no %q...%q in standard output", args[1], args[2])
	}
	ts.Setenv(args[0], value)
}
