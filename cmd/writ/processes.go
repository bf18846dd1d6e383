package main

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"writ/setup"
)

// processes are the services of a world, each a process of its own that ends
// when this one does.
type processes struct {
	world *setup.World
	self  string // this binary

	lock    *os.File // held as long as the world is used, by one command at a time
	mu      sync.Mutex
	running map[string]*process
}

type process struct {
	name, sub string
	cmd       *exec.Cmd
	stdin     io.Closer // the process ends when it is closed
	log       string
	from      int64 // where in the log this process began
	started   time.Time
	done      chan struct{}
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
	lock, err := os.OpenFile(filepath.Join(w.Dir, "log", "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fail(codeFailed, fmt.Errorf("the world in %s is up already", w.Dir),
			"use it from here, or end the writ localnet that runs it; another --dir makes another world"), lock.Close())
	}
	return &processes{world: w, self: self, lock: lock, running: map[string]*process{}}, nil
}

// launch starts the service of a subdirectory without waiting for it.
func (p *processes) launch(sub string) error {
	name := filepath.Base(sub)
	args := append(p.command(sub), "--dir", filepath.Join(p.world.Dir, sub), "--until-eof")
	s := &process{name: name, sub: sub, cmd: exec.Command(p.self, args...), done: make(chan struct{}),
		log: filepath.Join(p.world.Dir, "log", name+".log"), started: time.Now()}
	out, err := os.OpenFile(s.log, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return err
	}
	defer out.Close()
	if s.from, err = out.Seek(0, io.SeekEnd); err != nil {
		return err
	}
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
	case "custodian", "witness":
		return []string{role, "--passphrase-file", filepath.Join(p.world.Dir, sub, "passphrase")}
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

// await returns when the service of a subdirectory says that it listens.
func (p *processes) await(ctx context.Context, sub string) error {
	p.mu.Lock()
	s := p.running[filepath.Base(sub)]
	p.mu.Unlock()
	ctx, cancel := context.WithTimeout(ctx, startTimeout)
	defer cancel()
	for {
		if bytes.Contains(s.said(), []byte(" listens on ")) {
			return nil
		}
		select {
		case <-s.done:
			return s.ended()
		case <-ctx.Done():
			return errors.Join(fail(codeUnavailable, fmt.Errorf("%s does not listen", s.name), "its log is "+s.log), ctx.Err())
		case <-time.After(20 * time.Millisecond):
		}
	}
}

// said is what a process has logged.
func (s *process) said() []byte {
	f, err := os.Open(s.log)
	if err != nil {
		return nil
	}
	defer f.Close()
	b, err := io.ReadAll(io.NewSectionReader(f, s.from, 1<<20))
	if err != nil {
		return nil
	}
	return b
}

// ended is the error of a process that ended by itself.
func (s *process) ended() error {
	why := "killed" // by whom, no process can say
	if s.cmd.ProcessState.Exited() {
		why = lastLine(s.said())
	}
	return fail(codeFailed, fmt.Errorf("%s ended: %s", s.name, why), "its log is "+s.log)
}

// lastLine is the last line of a log, which says why its process ended.
func lastLine(log []byte) string {
	last := "without a word"
	for line := range strings.Lines(string(log)) {
		if line = strings.TrimSpace(line); line != "" && !strings.HasPrefix(line, "hint:") {
			last = strings.TrimPrefix(line, "error: ")
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
	if len(names) == 0 {
		p.lock.Close()
	}
}
