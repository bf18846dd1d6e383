package writ

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
	"time"
)

// block is a console block of the README: commands and what they print, in
// which "..." stands for anything.
type block []struct {
	command string
	want    string
}

// readBlocks takes the console blocks of the README.
func readBlocks(t *testing.T) []block {
	t.Helper()
	text, err := os.ReadFile("README.md")
	if err != nil {
		t.Fatal(err)
	}
	var blocks []block
	for _, part := range strings.Split(string(text), "```console\n")[1:] {
		body, _, _ := strings.Cut(part, "```")
		var b block
		for line := range strings.Lines(body) {
			if command, ok := strings.CutPrefix(line, "$ "); ok {
				b = append(b, struct{ command, want string }{strings.TrimSpace(command), ""})
				continue
			}
			b[len(b)-1].want += line
		}
		blocks = append(blocks, b)
	}
	return blocks
}

// matches reports whether output is what the README shows.
func matches(want, got string) bool {
	pattern := regexp.QuoteMeta(strings.TrimSpace(want))
	pattern = strings.ReplaceAll(pattern, `\.\.\.`, `[\s\S]*?`)
	return regexp.MustCompile(`^` + pattern + `$`).MatchString(strings.TrimSpace(got))
}

// The README shows a session. It runs, command by command, and prints what the
// README says.
func TestReadmeSession(t *testing.T) {
	if testing.Short() {
		t.Skip("short: the session starts a whole world")
	}
	dir := t.TempDir()
	if out, err := exec.Command("go", "build", "-o", filepath.Join(dir, "bin", "writ"), "./cmd/writ").CombinedOutput(); err != nil {
		t.Fatalf("build: %v\n%s", err, out)
	}
	env := append(os.Environ(), "PATH="+filepath.Join(dir, "bin")+string(os.PathListSeparator)+os.Getenv("PATH"), "WRIT_HOME="+dir)
	blocks := readBlocks(t)
	if len(blocks) < 4 {
		t.Fatalf("%d console blocks", len(blocks))
	}
	stop := startWorld(t, dir, env, blocks[0][0].command)
	defer stop()
	var exports []string
	for _, b := range blocks[1:] {
		for _, c := range b {
			if strings.HasPrefix(c.command, "export ") {
				exports = append(exports, c.command)
				continue
			}
			cmd := exec.Command("sh", "-c", strings.Join(append(exports, c.command), "\n"))
			cmd.Dir, cmd.Env = dir, env
			out, err := cmd.CombinedOutput()
			if err != nil || !matches(c.want, string(out)) {
				t.Fatalf("$ %s\n%s\n%v; the README shows:\n%s", c.command, out, err, c.want)
			}
		}
	}
}

// startWorld runs the command of the first terminal until it says that the world
// is up.
func startWorld(t *testing.T, dir string, env []string, command string) (stop func()) {
	t.Helper()
	ctx, cancel := context.WithTimeout(context.Background(), 2*time.Minute)
	args := strings.Fields(command)
	cmd := exec.CommandContext(ctx, filepath.Join(dir, "bin", args[0]), args[1:]...)
	cmd.Dir, cmd.Env = dir, env
	cmd.Cancel = func() error { return cmd.Process.Signal(os.Interrupt) }
	cmd.WaitDelay = 30 * time.Second
	var errs bytes.Buffer
	cmd.Stderr = &errs
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for lines.Scan() && !strings.HasPrefix(lines.Text(), "Ctrl-C") {
	}
	if lines.Err() != nil || lines.Text() == "" {
		t.Fatalf("%s: %v\n%s", command, lines.Err(), errs.String())
	}
	return func() {
		cancel()
		if err := cmd.Wait(); err != nil && !errors.Is(err, context.Canceled) {
			t.Errorf("%s: %v\n%s", command, err, errs.String())
		}
	}
}
