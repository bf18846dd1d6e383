package registry

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"

	"writ/directory"
	"writ/engine"
	"writ/internal/wire"
)

// statements holds each statement with its salt; pending the keys of those whose
// leaf may not be on the log yet. A key is the account's label and the version.
const (
	statements engine.Bucket = "statements"
	pending    engine.Bucket = "pending"
)

func recordKey(label directory.Label, version uint64) []byte {
	return binary.BigEndian.AppendUint64(label[:], version)
}

// record is struct { opaque salt[32]; opaque statement<V>; }.
func record(o directory.Opened) []byte {
	var w wire.Writer
	w.Fixed(o.Salt[:])
	w.Opaque(o.Statement.Encode())
	return w.Bytes()
}

func parseRecord(b []byte) (o directory.Opened, err error) {
	r := wire.NewReader(b)
	o.Salt = r.Array32()
	statement := r.Opaque(directory.MaxStatement)
	if err := r.Done(); err != nil {
		return o, fmt.Errorf("registry: stored statement: %w", err)
	}
	o.Statement, err = directory.Parse(statement)
	return o, err
}

// keep stores a statement before anything of it is logged.
func (s *Server) keep(ctx context.Context, label directory.Label, o directory.Opened) error {
	key := recordKey(label, o.Statement.Version)
	return s.store.Apply(ctx, engine.Insert(statements, key, record(o)), engine.Put(pending, key, nil))
}

// version returns one statement of an account.
func (s *Server) version(ctx context.Context, label directory.Label, version uint64) (*directory.Statement, error) {
	b, err := s.store.Get(ctx, statements, recordKey(label, version))
	if errors.Is(err, engine.ErrNotFound) {
		return nil, errLost
	}
	if err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	o, err := parseRecord(b)
	return o.Statement, err
}

// opened returns the statements of a label whose leaves have these indexes.
func (s *Server) opened(ctx context.Context, label directory.Label, indexes []uint64) ([]directory.Opened, error) {
	records, err := s.store.Scan(ctx, statements, recordKey(label, 0), len(indexes))
	if err != nil {
		return nil, fmt.Errorf("registry: %w", err)
	}
	var chain []directory.Opened
	for i, r := range records {
		if directory.Label(r.Key[:len(label)]) != label {
			break
		}
		o, err := parseRecord(r.Value)
		if err != nil {
			return nil, err
		}
		o.Index = indexes[i]
		chain = append(chain, o)
	}
	if len(chain) != len(indexes) {
		return nil, errLost
	}
	return chain, nil
}

// errLost: the log knows more of an account than the store, which must be an old copy.
var errLost = errors.New("registry: statements that are on the log are not in the store")

// resume logs what was stored before the process ended and is not on the log.
func (s *Server) resume(ctx context.Context) error {
	for {
		list, err := s.store.Scan(ctx, pending, nil, 256)
		if err != nil || len(list) == 0 {
			return err
		}
		for _, r := range list {
			if err := s.resumeOne(ctx, r.Key); err != nil {
				return err
			}
		}
	}
}

func (s *Server) resumeOne(ctx context.Context, key []byte) error {
	label, version := directory.Label(key), binary.BigEndian.Uint64(key[len(directory.Label{}):])
	logged := uint64(len(s.leaves(label)))
	if version > logged+1 {
		return fmt.Errorf("registry: version %d of an account is stored, and %d are on the log", version, logged)
	}
	if version == logged+1 {
		b, err := s.store.Get(ctx, statements, key)
		if err != nil {
			return fmt.Errorf("registry: %w", err)
		}
		o, err := parseRecord(b)
		if err != nil {
			return err
		}
		index, err := s.admit(directory.NewLeaf(label, o.Statement, o.Salt).Entry())
		if err != nil {
			return err
		}
		if _, err := s.log.Await(ctx, index); err != nil {
			return err
		}
	}
	return s.store.Apply(ctx, engine.Delete(pending, key))
}

// leaves returns the indexes of a label's leaves that were admitted. They are not
// to be changed.
func (s *Server) leaves(label directory.Label) []uint64 {
	s.mu.Lock()
	defer s.mu.Unlock()
	list := s.indexes[label]
	return list[:len(list):len(list)]
}
