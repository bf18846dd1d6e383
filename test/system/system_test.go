// Package system tests Writ as a whole: the binary as people run it, its
// services as processes that are killed, and what a thief finds on their disks.
//
//   - TestCommands runs the scripts in testdata/script, all on one world.
//   - TestKill kills services under load; WRIT_SOAK=10 makes it last ten minutes.
//   - The other tests are stories of their own.
//
// The binary is built once. Everything listens on loopback only, and nothing
// outlives the test: the last thing TestMain does is to look for processes of
// the binary that are left.
package system

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

// binary is the path of the writ that is tested.
var binary string

func TestMain(m *testing.M) {
	dir, err := os.MkdirTemp("", "writ-system-")
	if err != nil {
		panic(err)
	}
	binary = filepath.Join(dir, "writ")
	build := exec.Command("go", "build", "-o", binary, "writ/cmd/writ")
	build.Stdout, build.Stderr = os.Stderr, os.Stderr
	if err := build.Run(); err != nil {
		fmt.Fprintln(os.Stderr, "building writ:", err)
		os.Exit(1)
	}
	code := m.Run()
	if left := processesLeft(5 * time.Second); len(left) > 0 {
		fmt.Fprintln(os.Stderr, "processes left behind:\n"+strings.Join(left, "\n"))
		code = 1
	}
	os.RemoveAll(dir)
	os.Exit(code)
}

// processesLeft returns the command lines of processes of the binary that are
// still there after a while.
func processesLeft(wait time.Duration) []string {
	for end := time.Now().Add(wait); ; time.Sleep(50 * time.Millisecond) {
		left := running()
		if len(left) == 0 || time.Now().After(end) {
			return left
		}
	}
}

// running lists the processes of the binary, where the system shows them.
func running() (list []string) {
	links, err := filepath.Glob("/proc/[0-9]*/exe")
	if err != nil {
		return nil
	}
	for _, link := range links {
		if path, err := os.Readlink(link); err == nil && path == binary {
			line, _ := os.ReadFile(filepath.Join(filepath.Dir(link), "cmdline"))
			list = append(list, strings.ReplaceAll(string(line), "\x00", " "))
		}
	}
	return list
}
