package engine

import (
	"bytes"
	"context"
	"crypto/sha256"
	"crypto/subtle"
	"database/sql"
	"fmt"
)

// Records is a store of keyed records in named buckets, for services whose load
// is small. Keys are ordered as bytes within a bucket.
//
//	const envelopes engine.Bucket = "envelopes"
//	err := r.Apply(ctx,
//		engine.Insert(envelopes, id, sealed),
//		engine.Replace(states, id, proposed, approved))
type Records struct{ db *db }

// A Bucket names one kind of record.
type Bucket string

// A Record is one stored record.
type Record struct{ Key, Value []byte }

// A Write is one change of an [Records.Apply].
type Write struct {
	bucket Bucket
	key    []byte
	value  []byte // nil deletes
	whole  bool   // of the bucket: deletes all its records
	expect expectation
	old    []byte
}

type expectation uint8

const (
	expectAny expectation = iota
	expectNone
	expectOld
)

// Put stores value whatever is there.
func Put(b Bucket, key, value []byte) Write {
	return Write{bucket: b, key: nonNil(key), value: nonNil(value)}
}

// Insert stores value if the key is absent; the same value being there already
// is no conflict, so that an insert can be repeated.
func Insert(b Bucket, key, value []byte) Write {
	return Write{bucket: b, key: nonNil(key), value: nonNil(value), expect: expectNone}
}

// Replace stores value if the record's value is old.
func Replace(b Bucket, key, old, value []byte) Write {
	return Write{bucket: b, key: nonNil(key), value: nonNil(value), expect: expectOld, old: old}
}

// Delete removes a record if it is there.
func Delete(b Bucket, key []byte) Write { return Write{bucket: b, key: nonNil(key)} }

// Clear removes all records of a bucket, also damaged ones.
func Clear(b Bucket) Write { return Write{bucket: b, whole: true} }

// Expect changes nothing; it fails unless the record's value is old.
func Expect(b Bucket, key, old []byte) Write { return Replace(b, key, old, old) }

func nonNil(v []byte) []byte {
	if v == nil {
		return []byte{}
	}
	return v
}

var recordsSchema = schema{id: 0x77726331, version: 1, tables: `
CREATE TABLE records (
	id     INTEGER PRIMARY KEY,
	bucket TEXT NOT NULL,
	key    BLOB NOT NULL,
	value  BLOB NOT NULL,
	hash   BLOB NOT NULL,
	UNIQUE (bucket, key)
);`}

// OpenRecords opens or makes a store.
func OpenRecords(c Config) (*Records, error) {
	d, err := open(c, recordsSchema)
	if err != nil {
		return nil, err
	}
	return &Records{d}, nil
}

// Close ends the store. Writes that wait fail with ErrClosed.
func (r *Records) Close() error { return r.db.close() }

// Apply makes all the writes, durably and together, or none of them: a write
// whose expectation doesn't hold makes it fail with an error that wraps
// [ErrConflict] and names the record. Expectations look at the state before the
// whole call, so a key should stand in one write only.
func (r *Records) Apply(ctx context.Context, writes ...Write) error {
	return r.db.submit(ctx, func(t *tx) error {
		for _, w := range writes {
			if !w.holds(t) {
				return fmt.Errorf("%w: %s %x", ErrConflict, w.bucket, w.key)
			}
		}
		for _, w := range writes {
			w.apply(t)
		}
		return nil
	})
}

func (w Write) holds(t *tx) bool {
	if w.expect == expectAny {
		return true
	}
	var value []byte
	found := t.row("SELECT value FROM records WHERE bucket=? AND key=?", []any{string(w.bucket), w.key}, &value)
	if w.expect == expectNone {
		return !found || bytes.Equal(value, w.value)
	}
	return found && subtle.ConstantTimeCompare(value, w.old) == 1
}

func (w Write) apply(t *tx) {
	switch {
	case w.whole:
		t.exec("DELETE FROM records WHERE bucket=?", string(w.bucket))
	case w.value == nil:
		t.exec("DELETE FROM records WHERE bucket=? AND key=?", string(w.bucket), w.key)
	default:
		t.exec(`INSERT INTO records (bucket, key, value, hash) VALUES (?, ?, ?, ?)
			ON CONFLICT (bucket, key) DO UPDATE SET value=excluded.value, hash=excluded.hash`,
			string(w.bucket), w.key, w.value, hashOf(w.value))
	}
}

// Get returns a record's value, or ErrNotFound.
func (r *Records) Get(ctx context.Context, b Bucket, key []byte) ([]byte, error) {
	var value, hash []byte
	if err := r.db.queryRow(ctx, "SELECT value, hash FROM records WHERE bucket=? AND key=?", []any{string(b), key}, &value, &hash); err != nil {
		return nil, err
	}
	if err := checkHash(value, hash); err != nil {
		return nil, fmt.Errorf("%w: %s %x", err, b, key)
	}
	return value, nil
}

// Scan returns at most limit records whose key comes after the given one, in
// order. Nil begins at the front, an empty key included.
func (r *Records) Scan(ctx context.Context, b Bucket, after []byte, limit int) ([]Record, error) {
	query, args := "SELECT key, value, hash FROM records WHERE bucket=? AND key>? ORDER BY key LIMIT ?", []any{string(b), after, limit}
	if after == nil {
		query, args = "SELECT key, value, hash FROM records WHERE bucket=? ORDER BY key LIMIT ?", []any{string(b), limit}
	}
	return r.scan(ctx, query, args...)
}

// ScanPrefix returns all records whose key begins with a prefix, in order.
func (r *Records) ScanPrefix(ctx context.Context, b Bucket, prefix []byte) ([]Record, error) {
	query, args := "SELECT key, value, hash FROM records WHERE bucket=? AND key>=? ORDER BY key", []any{string(b), nonNil(prefix)}
	if end := following(prefix); end != nil {
		query, args = "SELECT key, value, hash FROM records WHERE bucket=? AND key>=? AND key<? ORDER BY key", append(args, end)
	}
	return r.scan(ctx, query, args...)
}

// following returns the least key after all that begin with a prefix, nil if there is none.
func following(prefix []byte) []byte {
	end := bytes.Clone(prefix)
	for i := len(end) - 1; i >= 0; i-- {
		if end[i]++; end[i] != 0 {
			return end[:i+1]
		}
	}
	return nil
}

func (r *Records) scan(ctx context.Context, query string, args ...any) (list []Record, err error) {
	err = r.db.query(ctx, query, args, func(rows *sql.Rows) error {
		var rec Record
		var hash []byte
		if err := rows.Scan(&rec.Key, &rec.Value, &hash); err != nil {
			return err
		}
		list = append(list, rec)
		return checkHash(rec.Value, hash)
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// Last returns the record of the greatest key of a bucket, or ErrNotFound.
func (r *Records) Last(ctx context.Context, b Bucket) (*Record, error) {
	var rec Record
	var hash []byte
	err := r.db.queryRow(ctx, "SELECT key, value, hash FROM records WHERE bucket=? ORDER BY key DESC LIMIT 1", []any{string(b)}, &rec.Key, &rec.Value, &hash)
	if err != nil {
		return nil, err
	}
	if err := checkHash(rec.Value, hash); err != nil {
		return nil, err
	}
	return &rec, nil
}

// Count returns the number of records in a bucket.
func (r *Records) Count(ctx context.Context, b Bucket) (n int, err error) {
	err = r.db.queryRow(ctx, "SELECT count(*) FROM records WHERE bucket=?", []any{string(b)}, &n)
	return n, err
}

func hashOf(b []byte) []byte {
	h := sha256.Sum256(b)
	return h[:]
}

func checkHash(b, hash []byte) error {
	if !bytes.Equal(hashOf(b), hash) {
		return ErrCorrupt
	}
	return nil
}
