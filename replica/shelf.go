package replica

import (
	"bytes"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"slices"
	"strings"
	"sync"

	"writ/charter"
	"writ/engine"
	"writ/ledger"
)

// book is the bucket of the rows in which the book lies.
const book engine.Bucket = "book"

// madeKey tells by what the rows of the book were made.
var madeKey = []byte("book made by")

// shelf is a [ledger.Shelf] in the copy's file.
type shelf struct {
	records *engine.Records
	fatal   func(error) // nil while the book is opened, or if there is none
}

// Get is part of [ledger.Shelf].
func (s *shelf) Get(key []byte) []byte {
	value, err := s.records.Get(context.Background(), book, key)
	if errors.Is(err, engine.ErrNotFound) {
		return nil
	}
	s.check(err)
	return value
}

// Scan is part of [ledger.Shelf].
func (s *shelf) Scan(prefix []byte, visit func(key, value []byte)) {
	list, err := s.records.ScanPrefix(context.Background(), book, prefix)
	s.check(err)
	for _, row := range list {
		visit(row.Key, row.Value)
	}
}

// Entry is part of [ledger.Shelf].
func (s *shelf) Entry(index uint64) []byte {
	entry, err := stored(context.Background(), s.records, index)
	s.check(err)
	return entry
}

// check ends the process, or at least the goroutine's work, if the file can't be read.
func (s *shelf) check(err error) {
	if err == nil {
		return
	}
	if errors.Is(err, engine.ErrCorrupt) { // the next start replays the log
		err = errors.Join(err, s.records.Apply(context.Background(), engine.Delete(state, madeKey)))
	}
	err = fmt.Errorf("replica: the copy's file can't be read: %w", err)
	if s.fatal != nil && !errors.Is(err, engine.ErrClosed) {
		s.fatal(err)
	}
	panic(err)
}

// openBook opens the book that lies in the file. Rows that another version of this program
// made, or with other first charters, are thrown away: what counted by its rules need not
// count by these. So are damaged rows. The entries stay, and are replayed.
func (r *Replica) openBook(ctx context.Context) error {
	by, err := made(r.config.Charters)
	if err != nil {
		return err
	}
	was, err := r.records.Get(ctx, state, madeKey)
	if err != nil && !errors.Is(err, engine.ErrNotFound) {
		return err
	}
	s := &shelf{records: r.records}
	if bytes.Equal(was, by) {
		if r.book, err = ledger.OpenBook(s, r.config.Charters...); err != nil {
			r.config.Log.Warn("ledger: all entries are replayed", "because", err)
		}
	}
	if r.book == nil {
		if err := r.records.Apply(ctx, engine.Clear(book), engine.Put(state, madeKey, by)); err != nil {
			return err
		}
		if r.book, err = ledger.OpenBook(s, r.config.Charters...); err != nil {
			return err
		}
	}
	s.fatal = r.config.Fatal
	return nil
}

// made returns what made the rows: this program and the first charters, sorted.
func made(firsts []charter.Hash) ([]byte, error) {
	by, err := program()
	if err != nil {
		return nil, err
	}
	for _, h := range slices.SortedFunc(slices.Values(firsts), func(x, y charter.Hash) int { return bytes.Compare(x[:], y[:]) }) {
		by += " " + h.String()
	}
	return []byte(by), nil
}

// program returns the version of this program or, if it was built of what no version
// names, the hash of its file.
var program = sync.OnceValues(func() (string, error) {
	info, ok := debug.ReadBuildInfo()
	if ok && strings.HasPrefix(info.Main.Version, "v") && !strings.HasSuffix(info.Main.Version, "+dirty") {
		return info.Main.Version, nil
	}
	path, err := os.Executable()
	if err != nil {
		return "", err
	}
	f, err := os.Open(path)
	if err != nil {
		return "", err
	}
	defer f.Close()
	h := sha256.New()
	if _, err := io.Copy(h, f); err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
})

// keepBook stores what changed in the book. Should that fail the rows are stored with the
// next, or their entries replayed at the next start.
func (r *Replica) keepBook(ctx context.Context) error {
	var rows []ledger.Row
	r.View(func(b *ledger.Book) { rows = b.Changes() })
	if len(rows) == 0 {
		return nil
	}
	writes := make([]engine.Write, len(rows))
	for i, row := range rows {
		if writes[i] = engine.Put(book, row.Key, row.Value); row.Value == nil {
			writes[i] = engine.Delete(book, row.Key)
		}
	}
	if err := r.records.Apply(ctx, writes...); err != nil {
		return err
	}
	r.View((*ledger.Book).Kept)
	return nil
}
