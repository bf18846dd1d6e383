//go:build unix

package client

import (
	"bytes"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"

	"writ/internal/wire"
	"writ/mls"
)

// Files is a Storage in a folder: a subfolder for each space, in it a file for
// each record and a journal.
//
//	DIR/lock               held while the Files is open
//	DIR/SPACE/journal      the last change, or nothing, then zeros
//	DIR/SPACE/r-KEY        hash[32] over name and value, then the value
//
// A change is first written over the change before it in the journal and synced;
// from there on it is made, if need be by whoever opens the folder next. Then the
// records are written in place and synced, deleted ones overwritten with zeros
// before they are unlinked. So what is gone is nowhere once the next change is in the
// journal. On a file system that copies on write, or a disk that does, old
// blocks may outlive the overwriting.
type Files struct {
	disk   disk
	unlock func() error

	mu     sync.Mutex
	spaces map[string]*space // those opened so far
	broken error             // the first failure of Apply, which ends the use of this Files
}

// A space is what is known of a space that was opened.
type space struct {
	name    string
	records map[string]bool // their file names
	journal int             // its size in bytes
}

const (
	journalName  = "journal"
	recordPrefix = "r-"
	maxFileName  = 200
	maxJournal   = 64 << 20
	keepJournal  = 64 << 10 // a journal up to this size is not cut, which saves a sync
)

// OpenFiles opens the folder, making it if need be, with access for this user
// only. It is refused while another process has it open.
func OpenFiles(dir string) (*Files, error) {
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("client: storage: %w", err)
	}
	lock, err := os.OpenFile(filepath.Join(dir, "lock"), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return nil, fmt.Errorf("client: storage: %w", err)
	}
	if err := syscall.Flock(int(lock.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
		return nil, errors.Join(fmt.Errorf("client: refused: %s is in use by another process", dir), lock.Close())
	}
	f := newFiles(osDisk{dir})
	f.unlock = lock.Close
	return f, nil
}

func newFiles(d disk) *Files {
	return &Files{disk: d, unlock: func() error { return nil }, spaces: map[string]*space{}}
}

// Close lets another process open the folder.
func (f *Files) Close() error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.broken == nil {
		f.broken = errors.New("client: storage is closed")
	}
	return f.unlock()
}

// Load is Storage.Load.
func (f *Files) Load(name string) ([]mls.Record, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.broken != nil {
		return nil, f.broken
	}
	s, err := f.open(name)
	if err != nil {
		return nil, fmt.Errorf("client: storage: %w", err)
	}
	var records []mls.Record
	for file := range s.records {
		r, err := f.read(s, file)
		if err != nil {
			return nil, fmt.Errorf("client: storage: %w", err)
		}
		records = append(records, r)
	}
	slices.SortFunc(records, func(a, b mls.Record) int { return bytes.Compare([]byte(a.Key), []byte(b.Key)) })
	return records, nil
}

// Apply is Storage.Apply.
func (f *Files) Apply(name string, records []mls.Record) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.broken != nil {
		return f.broken
	}
	if err := f.apply(name, records); err != nil {
		f.broken = fmt.Errorf("client: storage: %w", err)
	}
	return f.broken
}

func (f *Files) apply(name string, records []mls.Record) error {
	s, err := f.open(name)
	if err != nil {
		return err
	}
	journal, err := encodeJournal(records)
	if err != nil {
		return err
	}
	if len(journal) < s.journal && s.journal <= keepJournal {
		journal = append(journal, make([]byte, s.journal-len(journal))...)
	}
	defer clear(journal)
	s.journal = len(journal)
	if err := f.disk.put(name+"/"+journalName, journal); err != nil {
		return err
	}
	return f.redo(s, records)
}

// open makes the change that is in the space's journal and lists its records. A
// space that is not there is made.
func (f *Files) open(name string) (*space, error) {
	if s, ok := f.spaces[name]; ok {
		return s, nil
	}
	if !wire.ValidName(name) {
		return nil, fmt.Errorf("invalid: %q is not the name of a space", name)
	}
	if err := f.disk.mkdir(name); err != nil {
		return nil, err
	}
	s := &space{name: name, records: map[string]bool{}}
	files, err := f.disk.list(name)
	if err != nil {
		return nil, err
	}
	for _, file := range files {
		if strings.HasPrefix(file, recordPrefix) {
			s.records[file] = true
		}
	}
	if err := f.recover(s); err != nil {
		return nil, err
	}
	f.spaces[name] = s
	return s, nil
}

func (f *Files) recover(s *space) error {
	journal, err := f.disk.read(s.name + "/" + journalName)
	if errors.Is(err, fs.ErrNotExist) {
		if err := f.disk.put(s.name+"/"+journalName, nil); err != nil {
			return err
		}
		return f.disk.syncDir(s.name)
	}
	if err != nil {
		return err
	}
	defer clear(journal)
	s.journal = len(journal)
	// A journal that does not parse was torn before it counted.
	records, _ := parseJournal(journal)
	return f.redo(s, records)
}

// redo makes the change that is in the journal. Doing it twice does no harm.
func (f *Files) redo(s *space, records []mls.Record) error {
	relist := false
	for _, r := range records {
		file := recordName(r.Key)
		path := s.name + "/" + file
		switch {
		case r.Value != nil:
			relist = relist || !s.records[file]
			if err := f.disk.put(path, encodeRecord(file, r.Value)); err != nil {
				return err
			}
			s.records[file] = true
		case s.records[file]:
			relist = true
			if err := f.disk.erase(path); err != nil {
				return err
			}
			delete(s.records, file)
		}
	}
	if !relist {
		return nil
	}
	return f.disk.syncDir(s.name)
}

func (f *Files) read(s *space, name string) (mls.Record, error) {
	b, err := f.disk.read(s.name + "/" + name)
	if err != nil {
		return mls.Record{}, err
	}
	key, ok := recordKey(name)
	if !ok || len(b) < 32 || wire.Hash("client record", []byte(name), b[32:]) != [32]byte(b[:32]) {
		return mls.Record{}, fmt.Errorf("malformed: %s/%s is damaged", s.name, name)
	}
	return mls.Record{Key: key, Value: b[32:]}, nil
}

func encodeRecord(name string, value []byte) []byte {
	h := wire.Hash("client record", []byte(name), value)
	return append(h[:], value...)
}

// encodeJournal gives {opaque key<V>; uint8 present; opaque value<V>} records<V>; hash[32].
func encodeJournal(records []mls.Record) ([]byte, error) {
	var w wire.Writer
	w.Vector(func(w *wire.Writer) {
		for _, r := range records {
			w.Opaque([]byte(r.Key))
			w.Uint8(flag(r.Value != nil))
			w.Opaque(r.Value)
		}
	})
	if len(w.Bytes()) > maxJournal {
		return nil, fmt.Errorf("refused: a change of %d bytes", len(w.Bytes()))
	}
	for _, r := range records {
		if len(recordName(r.Key)) > maxFileName || len(r.Value) > maxRecord {
			return nil, fmt.Errorf("refused: record %q of %d bytes", r.Key, len(r.Value))
		}
	}
	h := wire.Hash("client journal", w.Bytes())
	return append(w.Bytes(), h[:]...), nil
}

// parseJournal takes what encodeJournal gave, and zeros after it.
func parseJournal(b []byte) ([]mls.Record, error) {
	r := wire.NewReader(b)
	inside := r.Opaque(maxJournal)
	var w wire.Writer
	w.Opaque(inside)
	if hash := r.Array32(); r.Err() == nil && hash != wire.Hash("client journal", w.Bytes()) {
		r.Fail("torn")
	}
	for r.More() {
		if r.Uint8() != 0 {
			r.Fail("bytes after the end")
		}
	}
	v := wire.NewReader(inside)
	var records []mls.Record
	for v.More() {
		records = append(records, readChange(v))
	}
	r.Check(v.Done())
	if err := r.Done(); err != nil {
		return nil, fmt.Errorf("client: journal: %w", err)
	}
	return records, nil
}

func readChange(r *wire.Reader) mls.Record {
	key, present, value := string(r.Opaque(maxFileName)), readFlag(r), r.Opaque(maxRecord)
	if !present && len(value) > 0 {
		r.Fail("a value that is not there")
	}
	if !present {
		return mls.Record{Key: key}
	}
	return mls.Record{Key: key, Value: append([]byte{}, value...)}
}
