package main

import (
	"context"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"time"

	"writ/setup"
)

// processes are the services of a world, each a process of its own that ends
// when this one does.
type processes struct {
	world *setup.World
	self  string // this binary

	mu      sync.Mutex
	running map[string]*process
}

type process struct {
	name  string
	cmd   *exec.Cmd
	stdin io.Closer // the process ends when it is closed
	log   string
	done  chan struct{}
}

// startTimeout is how long a service may take until it listens.
const startTimeout = 60 * time.Second

func newProcesses(w *setup.World) (*processes, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	if err := os.MkdirAll(filepath.Join(w.Dir, "log"), 0o700); err != nil {
		return nil, err
	}
	return &processes{world: w, self: self, running: map[string]*process{}}, nil
}

// launch starts the service of a subdirectory without waiting for it.
func (p *processes) launch(sub string) error {
	name := filepath.Base(sub)
	args := append(p.command(sub), "--dir", filepath.Join(p.world.Dir, sub), "--until-eof")
	s := &process{name: name, cmd: exec.Command(p.self, args...), done: make(chan struct{}),
		log: filepath.Join(p.world.Dir, "log", name+".log")}
	out, err := os.OpenFile(s.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	s.cmd.Stdout, s.cmd.Stderr = out, out
	if s.stdin, err = s.cmd.StdinPipe(); err != nil {
		return err
	}
	if err := s.cmd.Start(); err != nil {
		return err
	}
	go func() {
		s.cmd.Wait()
		close(s.done)
	}()
	p.mu.Lock()
	defer p.mu.Unlock()
	p.running[name] = s
	return nil
}

// command is the subcommand that serves a subdirectory of a world.
func (p *processes) command(sub string) []string {
	switch role, _, _ := strings.Cut(filepath.ToSlash(sub), "/"); role {
	case "delivery":
		return []string{"serve"}
	case "custodian":
		return []string{"custodian", "--passphrase-file", filepath.Join(p.world.Dir, sub, "passphrase")}
	default:
		return []string{role}
	}
}

// start launches services side by side and waits until all listen.
func (p *processes) start(ctx context.Context, subs ...string) error {
	for _, sub := range subs {
		if err := p.launch(sub); err != nil {
			return err
		}
	}
	for _, sub := range subs {
		if err := p.await(ctx, sub); err != nil {
			return err
		}
	}
	return nil
}

// await returns when the service of a subdirectory accepts connections.
func (p *processes) await(ctx context.Context, sub string) error {
	addr, err := p.world.Listens(sub)
	if err != nil {
		return err
	}
	p.mu.Lock()
	s := p.running[filepath.Base(sub)]
	p.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		var d net.Dialer
		if c, err := d.DialContext(ctx, "tcp", addr); err == nil {
			return c.Close()
		}
		select {
		case <-s.done:
			return fail(codeFailed, fmt.Errorf("%s ended: %s", s.name, lastLine(s.log)), "its log is "+s.log)
		case <-ctx.Done():
			return fail(codeUnavailable, fmt.Errorf("%s does not listen on %s", s.name, addr), "its log is "+s.log)
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// lastLine is the last line of a log, which says why its process ended.
func lastLine(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return err.Error()
	}
	last := "without a word"
	for line := range strings.Lines(string(b)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "hint:") {
			last = line
		}
	}
	return last
}

// stop ends services, all of them if none is named, and waits for them.
func (p *processes) stop(names ...string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for name, s := range p.running {
		if len(names) == 0 || slices.Contains(names, name) {
			s.stdin.Close()
		}
	}
	for name, s := range p.running {
		if len(names) > 0 && !slices.Contains(names, name) {
			continue
		}
		select {
		case <-s.done:
		case <-time.After(grace + 5*time.Second):
			s.cmd.Process.Kill()
			<-s.done
		}
		delete(p.running, name)
	}
}
