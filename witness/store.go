package witness

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"golang.org/x/mod/sumdb/tlog"
)

// maxForks bounds the evidence kept for one origin: one fork proves as much as
// many.
const maxForks = 16

// store keeps, for each origin, the last checkpoint in <hash of origin>.checkpoint
// and each proven fork, two signed checkpoints, in <hash of origin>.fork-<root>.
type store struct {
	dir  string
	lock *os.File
}

func openStore(dir string) (*store, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("witness: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_CREATE|os.O_RDWR, 0o600)
	if err != nil {
		return nil, fmt.Errorf("witness: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		lock.Close()
		return nil, fmt.Errorf("witness: %s is in use: %w", dir, err)
	}
	return &store{dir: dir, lock: lock}, nil
}

func (s *store) close() error { return s.lock.Close() }

func (s *store) path(origin string) string {
	h := sha256.Sum256([]byte(origin))
	return filepath.Join(s.dir, hex.EncodeToString(h[:8]))
}

// read returns the last checkpoint, nil if there is none, and the number of
// forks.
func (s *store) read(origin string) (signed []byte, forks int, err error) {
	signed, err = os.ReadFile(s.path(origin) + ".checkpoint")
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return nil, 0, fmt.Errorf("witness: %w", err)
	}
	files, err := os.ReadDir(s.dir)
	if err != nil {
		return nil, 0, fmt.Errorf("witness: %w", err)
	}
	for _, f := range files {
		if strings.HasPrefix(f.Name(), filepath.Base(s.path(origin))+".fork-") {
			forks++
		}
	}
	return signed, forks, nil
}

// write replaces the last checkpoint: after an error, or a power cut at any
// moment, the file has the old or the new content, and after nil the new.
func (s *store) write(origin string, signed []byte) error {
	return s.replace(s.path(origin)+".checkpoint", signed)
}

// addFork keeps the evidence of a fork, once for each root hash.
func (s *store) addFork(origin string, root tlog.Hash, evidence []byte) (added bool, err error) {
	name := s.path(origin) + ".fork-" + hex.EncodeToString(root[:])
	if _, err := os.Stat(name); err == nil {
		return false, nil
	}
	if err := s.replace(name, evidence); err != nil {
		return false, err
	}
	return true, nil
}

func (s *store) replace(name string, b []byte) error {
	temp := filepath.Join(s.dir, "new")
	if err := writeSynced(temp, b); err != nil {
		return fmt.Errorf("witness: %w", err)
	}
	if err := os.Rename(temp, name); err != nil {
		return fmt.Errorf("witness: %w", err)
	}
	dir, err := os.Open(s.dir)
	if err != nil {
		return fmt.Errorf("witness: %w", err)
	}
	defer dir.Close()
	if err := dir.Sync(); err != nil {
		return fmt.Errorf("witness: %w", err)
	}
	return nil
}

func writeSynced(name string, b []byte) error {
	f, err := os.OpenFile(name, os.O_CREATE|os.O_WRONLY|os.O_TRUNC, 0o600)
	if err != nil {
		return err
	}
	if _, err := f.Write(b); err != nil {
		f.Close()
		return err
	}
	if err := f.Sync(); err != nil {
		f.Close()
		return err
	}
	return f.Close()
}
