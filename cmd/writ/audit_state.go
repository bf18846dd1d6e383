package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"syscall"

	"writ/audit"
	"writ/follower"
	"writ/ledger"
	"writ/setup"
)

// auditState is what an audit keeps of a log it follows.
//
//	DIR/journal.jsonl  each checkpoint at which the log had grown, one a line
//	DIR/told           how many entries were printed
//	DIR/fork-old.txt, DIR/fork-new.txt  two checkpoints that contradict each other
type auditState struct {
	dir   string
	file  *os.File // the journal, locked, at its end
	marks []keptMark
}

// keptMark is a line of the journal.
type keptMark struct {
	audit.Mark
	Signed string `json:"signed"` // the checkpoint with the policy's signatures
}

const (
	forkOld = "fork-old.txt"
	forkNew = "fork-new.txt"
)

// openAuditState reads a state or begins one. A line that a crash cut off is no
// line. Where a fork was seen it refuses, until its operator has looked (AUD-2).
func openAuditState(dir string) (*auditState, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	if _, err := os.Stat(filepath.Join(dir, forkNew)); err == nil {
		return nil, fail(codeInvalid, fmt.Errorf("%s holds two checkpoints of this log that contradict each other", dir),
			"they are the evidence: publish "+forkOld+" and "+forkNew+", and begin again with another --state")
	}
	f, err := os.OpenFile(filepath.Join(dir, "journal.jsonl"), os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	s := &auditState{dir: dir, file: f}
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", dir, err), f.Close())
	}
	if err := s.load(); err != nil {
		return nil, errors.Join(err, f.Close())
	}
	return s, nil
}

func (s *auditState) load() error {
	end := int64(0)
	for r := bufio.NewReader(s.file); ; {
		line, err := r.ReadBytes('\n')
		if err == io.EOF {
			break
		}
		var m keptMark
		if err == nil {
			err = json.Unmarshal(line, &m)
		}
		if err != nil {
			return fail(codeFailed, fmt.Errorf("%s: %w", s.file.Name(), err), "begin again with another --state; keep this one, it may be evidence")
		}
		s.marks, end = append(s.marks, m), end+int64(len(line))
	}
	if err := s.file.Truncate(end); err != nil {
		return err
	}
	_, err := s.file.Seek(end, io.SeekStart)
	return err
}

// last is the newest checkpoint of an earlier run, or nil.
func (s *auditState) last() []byte {
	if len(s.marks) == 0 {
		return nil
	}
	return []byte(s.marks[len(s.marks)-1].Signed)
}

// keep stores a checkpoint, if the log has grown.
func (s *auditState) keep(m audit.Mark, c *ledger.Checkpoint) error {
	if n := len(s.marks); n > 0 && m.Size <= s.marks[n-1].Size {
		return nil
	}
	k := keptMark{m, string(c.Signed())}
	b, err := json.Marshal(k)
	if err != nil {
		return err
	}
	if _, err := s.file.Write(append(b, '\n')); err != nil {
		return err
	}
	s.marks = append(s.marks, k)
	return s.file.Sync()
}

// keepFork stores both checkpoints of a fork.
func (s *auditState) keepFork(f *follower.ForkError) error {
	return errors.Join(setup.Write(filepath.Join(s.dir, forkOld), f.Old.Signed(), 0o644),
		setup.Write(filepath.Join(s.dir, forkNew), f.New.Signed(), 0o644))
}

// told returns how many entries an earlier run has printed.
func (s *auditState) told() (n uint64) {
	b, err := os.ReadFile(filepath.Join(s.dir, "told"))
	if err != nil {
		return 0
	}
	fmt.Sscan(string(b), &n)
	return n
}

func (s *auditState) tell(n uint64) error {
	return setup.Write(filepath.Join(s.dir, "told"), fmt.Appendln(nil, n), 0o644)
}
