package system

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"
)

// commands returns the indented command lines of a text that begins at a line.
func commands(text, from string) (script string) {
	_, text, _ = strings.Cut(text, from)
	for line := range strings.Lines(text) {
		if c, ok := strings.CutPrefix(line, "  "); ok {
			script += c
		}
	}
	return script
}

// output reads what a process has written so far.
func output(t *testing.T, path string) string {
	b, err := os.ReadFile(path)
	must(t, err)
	return string(b)
}

// localnet starts writ localnet and returns what it printed and what ends it.
func localnet(t *testing.T, dir string, args ...string) (printed string, end func()) {
	t.Helper()
	path := filepath.Join(t.TempDir(), "out")
	out, err := os.Create(path)
	must(t, err)
	defer out.Close()
	cmd := exec.Command(binary, append([]string{"localnet", "--dir", dir}, args...)...)
	cmd.Stdout, cmd.Stderr = out, out
	must(t, cmd.Start())
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	end = func() {
		cmd.Process.Signal(syscall.SIGINT)
		select {
		case err := <-done:
			done <- err
			if err != nil {
				t.Errorf("localnet: %v\n%s", err, output(t, path))
			}
		case <-time.After(20 * time.Second):
			cmd.Process.Kill()
			t.Error("localnet does not end on Ctrl-C")
		}
	}
	t.Cleanup(func() { cmd.Process.Kill() })
	eventually(t, time.Minute, func() error {
		select {
		case err := <-done:
			t.Fatalf("localnet ended: %v\n%s", err, output(t, path))
		default:
		}
		if !strings.Contains(output(t, path), "Ctrl-C ends it") {
			return os.ErrNotExist
		}
		return nil
	})
	return output(t, path), end
}

// sh runs commands as a person would type them.
func sh(t *testing.T, dir, script, stdin string) string {
	t.Helper()
	cmd := exec.Command("sh", "-e", "-c", script)
	cmd.Dir, cmd.Stdin = dir, strings.NewReader(stdin)
	out, err := cmd.CombinedOutput()
	if err != nil {
		t.Fatalf("%s\n%v\n%s", script, err, out)
	}
	return string(out)
}

// TestWalk types what localnet prints, word for word. A service that is killed is
// started again, a second localnet is refused, and a restart goes on.
func TestWalk(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "net")
	printed, end := localnet(t, dir, "--work-factor", "10")
	first := strings.Index(printed, "As the law")
	law := commands(printed[first:], "As the law")
	people := commands(printed[:first], "The world is up")
	people = people[strings.Index(people, "export"):]
	// Each approver types yes: a pipe in place of two terminals.
	law = strings.ReplaceAll(law, "writ warrant approve", "echo yes | writ warrant approve")
	path := "export PATH=" + filepath.Dir(binary) + ":$PATH\n"
	if !strings.Contains(people, path) {
		t.Errorf("it does not say how to find the binary:\n%s", people)
	}
	if out := sh(t, t.TempDir(), people, ""); !strings.Contains(out, "It was me who moved the money.") {
		t.Errorf("ben does not read anna:\n%s", out)
	}
	time.Sleep(1100 * time.Millisecond) // a person would take longer
	if out := sh(t, t.TempDir(), path+law, ""); !strings.Contains(out, "| It was me who moved the money.") || !strings.Contains(out, "every entry counts") {
		t.Errorf("the law's walk:\n%s", out)
	}
	if r := run(dir, "", "localnet", "--dir", dir); r.code != 1 || !strings.Contains(r.errors, "is up already") {
		t.Errorf("a second localnet: %+v", r)
	}
	killOf(t, filepath.Join(dir, "notary"))
	killOf(t, filepath.Join(dir, "delivery"))
	eventually(t, 20*time.Second, func() error {
		c := exec.Command("sh", "-e", "-c", path+"WRIT_HOME="+dir+"/people/ben writ send - 'still here'")
		return c.Run()
	})
	end()
	_, end = localnet(t, dir)
	if out := sh(t, dir, path+"WRIT_HOME="+dir+"/people/anna writ read --all", ""); !strings.Contains(out, "still here") {
		t.Errorf("after a restart anna reads\n%s", out)
	}
	end()
}

// killOf kills the service that runs on a directory with kill -9.
func killOf(t *testing.T, dir string) {
	t.Helper()
	links, err := filepath.Glob("/proc/[0-9]*/exe")
	must(t, err)
	for _, link := range links {
		line, _ := os.ReadFile(filepath.Join(filepath.Dir(link), "cmdline"))
		if path, err := os.Readlink(link); err != nil || path != binary || !bytes.Contains(line, []byte("\x00"+dir+"\x00")) {
			continue
		}
		sh(t, dir, "kill -9 "+filepath.Base(filepath.Dir(link)), "")
		return
	}
	t.Fatalf("nothing runs on %s", dir)
}

// TestDemo runs the demo on logs that people really have, and the walk it prints.
func TestDemo(t *testing.T) {
	long := strings.Repeat("A very long line. ", 60<<10/18)
	forty := ""
	for i := range 40 {
		forty += "person " + string(rune('a'+i%26)) + strings.Repeat("x", i/26) + ": good morning\n"
	}
	for _, c := range []struct{ name, chat, says string }{
		{"empty", "", "error: the chat holds no line"},
		{"no colon", "hello\nthere\n", "error: the chat holds no line"},
		{"not text", "anna: \xff\xfe\n", "error: the chat is not UTF-8 text"},
		{"65 speakers", manySpeakers(65), "error: more than 64 people speak"},
		{"one line", "anna: hello", ""},
		{"one speaker", "anna: hello\nanna: anybody?\nanna: no\n", ""},
		{"odd lines", "\ufeffÄnne Müller: Grüße\r\n\r\n李明: 你好\r\nand a line more\r\n: nobody\r\nben:\r\nben: a: b: c\r\nben: " + long + "\r\n" +
			"[12:03] x: y\r\nИван: \"quoted\" \x1b[31mred\x1b[0m\r\n", ""},
		{"forty speakers", forty, ""},
	} {
		t.Run(c.name, func(t *testing.T) {
			t.Parallel()
			cmd := exec.Command(binary, "demo", "--chat", "-", "--json")
			var out, errs bytes.Buffer
			cmd.Stdin, cmd.Stdout, cmd.Stderr = strings.NewReader(c.chat), &out, &errs
			cmd.Env = append(os.Environ(), "TMPDIR="+t.TempDir())
			err := cmd.Run()
			if c.says == "" && (err != nil || !strings.Contains(out.String(), `"broken": `) || strings.Contains(errs.String(), "[NO ]")) {
				t.Errorf("%v\n%s", err, errs.String())
			}
			if c.says != "" && (cmd.ProcessState.ExitCode() != 2 || !strings.Contains(errs.String(), c.says) || !strings.Contains(errs.String(), "hint: ")) {
				t.Errorf("exit code %d: %s", cmd.ProcessState.ExitCode(), errs.String())
			}
		})
	}
}

func manySpeakers(n int) (chat string) {
	for i := range n {
		chat += "p" + strconv.Itoa(i) + ": hello\n"
	}
	return chat
}

// TestDemoByHand repeats the demo's steps on the world that it leaves.
func TestDemoByHand(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "demo")
	out := sh(t, t.TempDir(), binary+" demo --dir "+dir, "")
	if !strings.Contains(out, "Everything held.") || strings.Contains(out, "[NO ]") {
		t.Fatalf("the demo:\n%s", out)
	}
	if r := run(dir, "", "demo", "--dir", dir); r.code != 2 || !strings.Contains(r.errors, "is not empty") {
		t.Errorf("a second demo: %+v", r)
	}
	var net func()
	for line := range strings.Lines(commands(out, "By hand, on the world in")) {
		line, _, _ = strings.Cut(strings.TrimSpace(line), "  ")
		switch {
		case !strings.HasPrefix(line, binary):
		case strings.Contains(line, " localnet "):
			_, net = localnet(t, dir)
		default:
			t.Log(line)
			sh(t, dir, line, "one word more\n")
		}
	}
	if net == nil {
		t.Fatalf("no localnet in\n%s", out)
	}
	net()
}
