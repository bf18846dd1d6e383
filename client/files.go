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
//	DIR/SPACE/journal      the change under way, or nothing
//	DIR/SPACE/r-KEY        hash[32] over name and value, then the value
//
// A change is first written to the journal and synced; from there on it is
// made, if need be by whoever opens the folder next. Then the records are
// written in place and synced, deleted ones overwritten with zeros before they
// are unlinked, and the journal is overwritten with zeros. On a file system that
// copies on write, or a disk that does, old blocks may outlive the overwriting.
type Files struct {
	disk   disk
	unlock func() error

	mu     sync.Mutex
	spaces map[string]map[string]bool // the records of the spaces opened so far
	broken error                      // the first failure of Apply, which ends the use of this Files
}

const (
	journalName  = "journal"
	recordPrefix = "r-"
	maxFileName  = 200
	maxJournal   = 64 << 20
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
	return &Files{disk: d, unlock: func() error { return nil }, spaces: map[string]map[string]bool{}}
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
func (f *Files) Load(space string) ([]mls.Record, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.broken != nil {
		return nil, f.broken
	}
	names, err := f.open(space)
	if err != nil {
		return nil, fmt.Errorf("client: storage: %w", err)
	}
	var records []mls.Record
	for name := range names {
		r, err := f.read(space, name)
		if err != nil {
			return nil, fmt.Errorf("client: storage: %w", err)
		}
		records = append(records, r)
	}
	slices.SortFunc(records, func(a, b mls.Record) int { return bytes.Compare([]byte(a.Key), []byte(b.Key)) })
	return records, nil
}

// Apply is Storage.Apply.
func (f *Files) Apply(space string, records []mls.Record) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	if f.broken != nil {
		return f.broken
	}
	if err := f.apply(space, records); err != nil {
		f.broken = fmt.Errorf("client: storage: %w", err)
	}
	return f.broken
}

func (f *Files) apply(space string, records []mls.Record) error {
	journal, err := encodeJournal(records)
	if err != nil {
		return err
	}
	defer clear(journal)
	names, err := f.open(space)
	if err != nil {
		return err
	}
	if err := f.disk.put(space+"/"+journalName, journal); err != nil {
		return err
	}
	return f.redo(space, names, records)
}

// open finishes the change in the space's journal and lists its records. A
// space that is not there is made.
func (f *Files) open(space string) (map[string]bool, error) {
	if names, ok := f.spaces[space]; ok {
		return names, nil
	}
	if !wire.ValidName(space) {
		return nil, fmt.Errorf("invalid: %q is not the name of a space", space)
	}
	if err := f.disk.mkdir(space); err != nil {
		return nil, err
	}
	names, err := f.list(space)
	if err != nil {
		return nil, err
	}
	journal, err := f.disk.read(space + "/" + journalName)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		err = f.start(space)
	case err == nil && len(journal) > 0:
		// A journal that does not parse was torn before it counted.
		records, _ := parseJournal(journal)
		err = f.redo(space, names, records)
	}
	if err != nil {
		return nil, err
	}
	f.spaces[space] = names
	return names, nil
}

func (f *Files) start(space string) error {
	if err := f.disk.put(space+"/"+journalName, nil); err != nil {
		return err
	}
	return f.disk.syncDir(space)
}

func (f *Files) list(space string) (map[string]bool, error) {
	files, err := f.disk.list(space)
	if err != nil {
		return nil, err
	}
	names := map[string]bool{}
	for _, name := range files {
		if strings.HasPrefix(name, recordPrefix) {
			names[name] = true
		}
	}
	return names, nil
}

// redo makes the change that the journal holds. Doing it twice does no harm.
func (f *Files) redo(space string, names map[string]bool, records []mls.Record) error {
	relist := false
	for _, r := range records {
		name := recordName(r.Key)
		path := space + "/" + name
		switch {
		case r.Value != nil:
			relist = relist || !names[name]
			if err := f.disk.put(path, encodeRecord(name, r.Value)); err != nil {
				return err
			}
			names[name] = true
		case names[name]:
			relist = true
			if err := f.disk.erase(path); err != nil {
				return err
			}
			delete(names, name)
		}
	}
	if relist {
		if err := f.disk.syncDir(space); err != nil {
			return err
		}
	}
	return f.disk.put(space+"/"+journalName, nil)
}

func (f *Files) read(space, name string) (mls.Record, error) {
	b, err := f.disk.read(space + "/" + name)
	if err != nil {
		return mls.Record{}, err
	}
	key, ok := recordKey(name)
	if !ok || len(b) < 32 || wire.Hash("client record", []byte(name), b[32:]) != [32]byte(b[:32]) {
		return mls.Record{}, fmt.Errorf("malformed: %s/%s is damaged", space, name)
	}
	return mls.Record{Key: key, Value: b[32:]}, nil
}

func encodeRecord(name string, value []byte) []byte {
	h := wire.Hash("client record", []byte(name), value)
	return append(h[:], value...)
}

// encodeJournal gives {string key; uint8 present; opaque value<V>} records<V>; hash[32].
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

func parseJournal(b []byte) ([]mls.Record, error) {
	if len(b) < 32 || wire.Hash("client journal", b[:len(b)-32]) != [32]byte(b[len(b)-32:]) {
		return nil, fmt.Errorf("client: journal: %w", wire.ErrMalformed)
	}
	r := wire.NewReader(b[:len(b)-32])
	v := r.Vector(maxJournal)
	var records []mls.Record
	for v.More() {
		key, present, value := string(v.Opaque(maxFileName)), v.Uint8(), v.Opaque(maxRecord)
		if present == 0 {
			value = nil
		}
		records = append(records, mls.Record{Key: key, Value: value})
	}
	r.Check(v.Done())
	if err := r.Done(); err != nil {
		return nil, fmt.Errorf("client: journal: %w", err)
	}
	return records, nil
}
