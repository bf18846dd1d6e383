package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"writ/audit"
	"writ/follower"
	"writ/ledger"
	"writ/setup"
)

// auditState is the directory in which an audit keeps what it saw of a log it follows.
//
//	DIR/told                            how many entries were printed
//	DIR/fork-old.txt, DIR/fork-new.txt  two checkpoints that contradict each other
//	DIR/journal.jsonl                   of a ledger; see journal
//	DIR/checkpoint, DIR/audited         of a directory; see directorySubject
type auditState struct {
	dir  string
	lock *os.File // the directory itself
}

const (
	journalFile = "journal.jsonl"
	toldFile    = "told"
	forkOld     = "fork-old.txt"
	forkNew     = "fork-new.txt"
)

const keepHint = "begin again with another --state; keep this one, it may be evidence"

// openAuditState locks a state's directory, which it makes if it isn't there. Where a fork
// was seen it refuses, until its operator has looked (AUD-2).
func openAuditState(dir string) (*auditState, error) {
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, err
	}
	s := &auditState{dir: dir}
	if _, err := os.Stat(s.path(forkNew)); err == nil {
		return nil, fail(codeInvalid, fmt.Errorf("%s holds two checkpoints of this log that contradict each other", dir),
			"they are the evidence: publish "+forkOld+" and "+forkNew+", and begin again with another --state")
	}
	var err error
	if s.lock, err = os.Open(dir); err != nil {
		return nil, err
	}
	if err := syscall.Flock(int(s.lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("%s: %w", dir, err), s.lock.Close())
	}
	return s, nil
}

func (s *auditState) path(name string) string { return filepath.Join(s.dir, name) }

// isNot refuses a state that holds a file which only another kind of log has.
func (s *auditState) isNot(name, whose string) error {
	if _, err := os.Lstat(s.path(name)); err != nil {
		return nil
	}
	return usage(fmt.Errorf("%s is of the audit of a %s", s.dir, whose), "each log needs a --state of its own")
}

// otherLog is the failure of a file that the policy's log did not sign.
func (s *auditState) otherLog(name string, err error) error {
	return fail(codeInvalid, fmt.Errorf("%s: %w", s.path(name), err), "--state is of another log than --policy, or damaged: keep it, it may be evidence")
}

// read returns a file of at most so many bytes, or nil if there is none.
func (s *auditState) read(name string, most int64) ([]byte, error) {
	f, err := os.Open(s.path(name))
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	defer f.Close()
	b, err := io.ReadAll(io.LimitReader(f, most+1))
	if err == nil && int64(len(b)) > most {
		err = fail(codeFailed, fmt.Errorf("%s has more than %d bytes", s.path(name), most), keepHint)
	}
	return b, err
}

// keepFork stores both checkpoints of a fork.
func (s *auditState) keepFork(f *follower.ForkError) error {
	return errors.Join(setup.Write(s.path(forkOld), f.Old.Signed(), 0o644),
		setup.Write(s.path(forkNew), f.New.Signed(), 0o644))
}

// told returns how many entries an earlier run has printed.
func (s *auditState) told() (uint64, error) {
	b, err := s.read(toldFile, 21)
	if b == nil || err != nil {
		return 0, err
	}
	n, err := strconv.ParseUint(strings.TrimSuffix(string(b), "\n"), 10, 64)
	if err != nil || string(b) != toldText(n) {
		return 0, fail(codeFailed, fmt.Errorf("%s is no number of entries: %q", s.path(toldFile), b), "remove it: entries that came since the last run are then not printed")
	}
	return n, nil
}

func (s *auditState) tell(n uint64) error {
	return setup.Write(s.path(toldFile), []byte(toldText(n)), 0o644)
}

func toldText(n uint64) string { return fmt.Sprintln(n) }

// journal is each checkpoint at which a ledger had grown, one a line (AUD-6).
type journal struct {
	path  string
	marks []keptMark
	end   int64 // of its last whole line
}

// keptMark is a line of the journal.
type keptMark struct {
	audit.Mark
	Signed string `json:"signed"` // the checkpoint with the policy's signatures
}

// openJournal reads a journal or begins one. A line that a crash or a full disk cut off is
// no line.
func openJournal(path string) (*journal, error) {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o644)
	if err != nil {
		return nil, err
	}
	defer f.Close()
	j := &journal{path: path}
	for r := bufio.NewReader(f); ; {
		line, err := r.ReadBytes('\n')
		if err == io.EOF {
			break
		}
		var m keptMark
		if err == nil {
			err = json.Unmarshal(line, &m)
		}
		if err != nil {
			return nil, fail(codeFailed, fmt.Errorf("%s: %w", path, err), keepHint)
		}
		j.marks, j.end = append(j.marks, m), j.end+int64(len(line))
	}
	return j, f.Truncate(j.end)
}

// last is the newest checkpoint of an earlier run, or nil.
func (j *journal) last() []byte {
	if len(j.marks) == 0 {
		return nil
	}
	return []byte(j.marks[len(j.marks)-1].Signed)
}

// keep stores a checkpoint, if the log has grown.
func (j *journal) keep(m audit.Mark, c *ledger.Checkpoint) error {
	if n := len(j.marks); n > 0 && m.Size <= j.marks[n-1].Size {
		return nil
	}
	k := keptMark{m, string(c.Signed())}
	b, err := json.Marshal(k)
	if err != nil {
		return err
	}
	f, err := os.OpenFile(j.path, os.O_WRONLY, 0)
	if err != nil {
		return err
	}
	end := j.end + int64(len(b)) + 1
	_, err = f.WriteAt(append(b, '\n'), j.end)
	// What an earlier try left there may be longer, and a whole line.
	if err := errors.Join(err, f.Truncate(end), f.Sync(), f.Close()); err != nil {
		return err
	}
	j.marks, j.end = append(j.marks, k), end
	return nil
}
