package operator

import (
	"crypto/sha256"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"

	"writ/notice/beacon"
)

// Board is a ceremony in a directory that all its operators can read and write:
// shared, or passed on from one to the next. Its files are numbered in their
// order:
//
//	ceremony   what is to be made
//	previous   the group whose key is handed on, if any
//	0001 ...   documents; an empty one ends a phase
//
// Who can write there can spoil a ceremony, and be seen to; not learn a key. That
// all operators read the same files in the same order shows in the transcript,
// which they compare when it is over.
type Board struct {
	*beacon.Board
	dir        string
	ceremony   *beacon.Ceremony
	next       int
	transcript [32]byte
	refused    []string // documents that don't count, and why
}

const (
	ceremonyFile = "ceremony"
	previousFile = "previous"
	maxFiles     = 1000
	maxFile      = max(beacon.MaxGroup, beacon.MaxDocument) // bytes
)

// CreateBoard begins a ceremony in a directory that has none. Previous is nil for
// a new key.
func CreateBoard(dir string, c *beacon.Ceremony, previous *beacon.Group) (*Board, error) {
	if _, err := beacon.NewBoard(c, previous); err != nil {
		return nil, err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return nil, fmt.Errorf("operator: %w", err)
	}
	if previous != nil {
		if err := publish(dir, previousFile, previous.Encode()); err != nil {
			return nil, err
		}
	}
	if err := publish(dir, ceremonyFile, c.Encode()); err != nil {
		return nil, err
	}
	return OpenBoard(dir)
}

// OpenBoard reads a ceremony as far as it has come.
func OpenBoard(dir string) (*Board, error) {
	b := &Board{dir: dir, next: 1}
	encoded, err := b.read(ceremonyFile)
	if err != nil {
		return nil, err
	}
	if b.ceremony, err = beacon.ParseCeremony(encoded); err != nil {
		return nil, err
	}
	var previous *beacon.Group
	if b.ceremony.Previous != ([32]byte{}) {
		if encoded, err = b.read(previousFile); err != nil {
			return nil, err
		}
		if previous, err = beacon.ParseGroup(encoded); err != nil {
			return nil, err
		}
	}
	if b.Board, err = beacon.NewBoard(b.ceremony, previous); err != nil {
		return nil, err
	}
	return b, b.replay()
}

// replay posts the documents in the order of their numbers.
func (b *Board) replay() error {
	for ; b.next <= maxFiles; b.next++ {
		name := number(b.next)
		doc, err := b.read(name)
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil {
			return err
		}
		if len(doc) == 0 {
			err = b.Board.Close()
		} else {
			err = b.Board.Post(doc)
		}
		if err != nil {
			b.refused = append(b.refused, name+": "+err.Error())
		}
	}
	return fmt.Errorf("operator: invalid: more than %d files in %s", maxFiles, b.dir)
}

func number(n int) string { return fmt.Sprintf("%04d", n) }

// Ceremony returns what is to be made.
func (b *Board) Ceremony() *beacon.Ceremony { return b.ceremony }

// Transcript returns the hash of all files read, in their order: operators who
// read the same have the same.
func (b *Board) Transcript() [32]byte { return b.transcript }

// Refused returns the files that don't count, and why.
func (b *Board) Refused() []string { return b.refused }

// peek returns a file.
func (b *Board) peek(name string) ([]byte, error) {
	f, err := os.Open(filepath.Join(b.dir, name))
	if err != nil {
		return nil, fmt.Errorf("operator: %w", err)
	}
	defer f.Close()
	doc, err := io.ReadAll(io.LimitReader(f, maxFile+1))
	if err != nil || len(doc) > maxFile {
		return nil, fmt.Errorf("operator: malformed: %s: %w", name, errors.Join(err, errTooLong))
	}
	return doc, nil
}

var errTooLong = errors.New("not a document, or too long")

// read returns a file, and takes it into the transcript.
func (b *Board) read(name string) ([]byte, error) {
	doc, err := b.peek(name)
	if err != nil {
		return nil, err
	}
	sum := sha256.Sum256(doc)
	b.transcript = sha256.Sum256(append(append(b.transcript[:], name...), sum[:]...))
	return doc, nil
}

// add gives a document the next number: nil ends the phase. Of two operators that
// post at once in a shared directory one gets the number after.
func (b *Board) add(doc []byte) error {
	for {
		err := publish(b.dir, number(b.next), doc)
		again, openErr := OpenBoard(b.dir)
		if openErr != nil {
			return openErr
		}
		*b = *again
		if !errors.Is(err, fs.ErrExist) {
			return err
		}
	}
}

// publish writes a file that is not there yet, whole or not at all.
func publish(dir, name string, doc []byte) error {
	f, err := os.CreateTemp(dir, ".new-*")
	if err != nil {
		return fmt.Errorf("operator: %w", err)
	}
	defer os.Remove(f.Name())
	_, err = f.Write(doc)
	err = errors.Join(err, f.Chmod(0o644), f.Sync(), f.Close())
	if err == nil {
		err = os.Link(f.Name(), filepath.Join(dir, name)) // never over another
	}
	if err != nil {
		return fmt.Errorf("operator: %w", err)
	}
	return nil
}
