package main

import (
	"context"
	"encoding/json"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"time"
)

// goTest runs one test of a package with changed files laid over the tree.
func goTest(pkg, test string, files map[string][]byte) (out []byte, err error) {
	dir, err := os.MkdirTemp("", "mutate-")
	if err != nil {
		return nil, err
	}
	defer os.RemoveAll(dir)
	over, err := overlay(dir, files)
	if err != nil {
		return nil, err
	}
	ctx, cancel := context.WithTimeout(context.Background(), 10*time.Minute)
	defer cancel()
	cmd := exec.CommandContext(ctx, "go", "test", "-overlay", over, "-vet=off", "-count=1", "-timeout", "3m", "-run", "^"+test+"$", pkg)
	return cmd.CombinedOutput()
}

// overlay writes what go build -overlay takes, into a directory.
func overlay(dir string, files map[string][]byte) (path string, err error) {
	replace := map[string]string{}
	for name, b := range files {
		from, err := filepath.Abs(name)
		if err != nil {
			return "", err
		}
		to := filepath.Join(dir, strings.ReplaceAll(name, "/", "_"))
		if err := os.WriteFile(to, b, 0o600); err != nil {
			return "", err
		}
		replace[from] = to
	}
	b, err := json.Marshal(map[string]any{"Replace": replace})
	if err != nil {
		return "", err
	}
	path = filepath.Join(dir, "overlay.json")
	return path, os.WriteFile(path, b, 0o600)
}

var failure = regexp.MustCompile(`(?m)^(?: +\S+_test\.go:\d+: |panic: )(.*)$`)

// firstFailure is the first thing a failed test said.
func firstFailure(out []byte) string {
	if m := failure.FindSubmatch(out); m != nil {
		return short(m[1])
	}
	return short(tail(out))
}

func short(b []byte) string {
	if len(b) > 200 {
		return string(b[:200]) + " ..."
	}
	return string(b)
}

// tail is the end of what a command printed.
func tail(b []byte) []byte { return b[max(0, len(b)-3000):] }
