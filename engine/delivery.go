package engine

import (
	"context"
	"database/sql"
	"fmt"
)

// Delivery is the store of the delivery service: accounts, key packages,
// conversations with their epochs and members, messages, capsules, welcomes, and what
// was disclosed.
// Conversation ids and mids are 16 bytes. It knows nothing of MLS: callers check
// what they store.
//
// Every unique key begins with the conversation or the account, so that the
// tables can be distributed by it. Bodies lie in the order they came; a table
// clustered by (conversation, seq) takes a tenth of the appends.
type Delivery struct {
	db        *db
	committed func(*Message)
}

var deliverySchema = schema{id: 0x77726430, version: 3, tables: `
CREATE TABLE devices (
	account TEXT NOT NULL, device TEXT NOT NULL, key BLOB NOT NULL, founder INTEGER NOT NULL DEFAULT 0, dropped INTEGER NOT NULL DEFAULT 0,
	UNIQUE (account, device)
);
CREATE TABLE key_packages (
	id INTEGER PRIMARY KEY,
	account TEXT NOT NULL, device TEXT NOT NULL, suite INTEGER NOT NULL,
	body BLOB NOT NULL, hash BLOB NOT NULL,
	request BLOB, taken INTEGER,
	UNIQUE (account, hash)
);
CREATE INDEX key_packages_stock ON key_packages (account, device, suite, id) WHERE request IS NULL;
CREATE UNIQUE INDEX key_packages_taken ON key_packages (account, request, device) WHERE request IS NOT NULL;
CREATE TABLE spent (
	account TEXT NOT NULL, leaf BLOB NOT NULL,
	UNIQUE (account, leaf)
);
CREATE TABLE conversations (
	conv BLOB NOT NULL, epoch INTEGER NOT NULL, info BLOB NOT NULL,
	UNIQUE (conv)
);
CREATE TABLE epochs (
	conv BLOB NOT NULL, epoch INTEGER NOT NULL, seq INTEGER NOT NULL, opened INTEGER NOT NULL,
	roster BLOB NOT NULL, context BLOB NOT NULL, hash BLOB NOT NULL,
	UNIQUE (conv, epoch)
);
CREATE TABLE snapshots (
	conv BLOB NOT NULL, epoch INTEGER NOT NULL, body BLOB NOT NULL, hash BLOB NOT NULL,
	UNIQUE (conv, epoch)
);
CREATE TABLE members (
	conv BLOB NOT NULL, leaf INTEGER NOT NULL,
	account TEXT NOT NULL, device TEXT NOT NULL, charter BLOB NOT NULL,
	from_epoch INTEGER NOT NULL, from_seq INTEGER NOT NULL,
	to_epoch INTEGER NOT NULL DEFAULT 9223372036854775807, to_seq INTEGER NOT NULL DEFAULT 9223372036854775807,
	UNIQUE (conv, leaf, from_epoch)
);
CREATE INDEX members_device ON members (account, device, conv);
CREATE TABLE messages (
	id INTEGER PRIMARY KEY,
	conv BLOB NOT NULL, seq INTEGER NOT NULL, mid BLOB NOT NULL,
	epoch INTEGER NOT NULL, kind INTEGER NOT NULL, sender INTEGER NOT NULL, received INTEGER NOT NULL,
	body BLOB NOT NULL, hash BLOB NOT NULL,
	UNIQUE (conv, seq),
	UNIQUE (conv, mid)
);
CREATE TABLE capsules (
	id INTEGER PRIMARY KEY,
	conv BLOB NOT NULL, epoch INTEGER NOT NULL, leaf INTEGER NOT NULL, name BLOB NOT NULL,
	depositor TEXT NOT NULL, body BLOB NOT NULL, hash BLOB NOT NULL,
	UNIQUE (conv, epoch, leaf, name)
);
CREATE TABLE welcomes (
	conv BLOB NOT NULL, epoch INTEGER NOT NULL, body BLOB NOT NULL, hash BLOB NOT NULL,
	UNIQUE (conv, epoch)
);
CREATE TABLE welcome_queue (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	account TEXT NOT NULL, device TEXT NOT NULL, conv BLOB NOT NULL, epoch INTEGER NOT NULL, seq INTEGER NOT NULL,
	UNIQUE (account, device, conv, epoch)
);
CREATE INDEX welcome_queue_epoch ON welcome_queue (conv, epoch);
CREATE TABLE disclosures (
	id INTEGER PRIMARY KEY AUTOINCREMENT,
	warrant BLOB NOT NULL, at INTEGER NOT NULL, compartments INTEGER NOT NULL, messages INTEGER NOT NULL
);
`}

// OpenDelivery opens or makes the store. Committed is called by the committer
// for each message after its fsync and before its answer, in the order of seq;
// it must not block. Nil leaves it out.
func OpenDelivery(c Config, committed func(*Message)) (*Delivery, error) {
	d, err := open(c, deliverySchema)
	if err != nil {
		return nil, err
	}
	if committed == nil {
		committed = func(*Message) {}
	}
	return &Delivery{d, committed}, nil
}

// Close ends the store. Writes that wait fail with ErrClosed.
func (s *Delivery) Close() error { return s.db.close() }

// A Device is a registered device and its Ed25519 public key.
type Device struct {
	Account, Device string
	Key             []byte
}

// PutDevice registers a device. Sponsor is the device of the same account that
// vouches for it, or "" for an account's first device: ErrConflict if the
// sponsor is missing, or the account isn't new. The same device again is no
// error; ErrExists if it has another key; ErrFull if the account has max devices that
// were not dropped.
func (s *Delivery) PutDevice(ctx context.Context, dev Device, sponsor string, max int) error {
	return s.db.submit(ctx, func(t *tx) error {
		var key []byte
		if t.row("SELECT key FROM devices WHERE account=? AND device=?", []any{dev.Account, dev.Device}, &key) {
			if string(key) != string(dev.Key) {
				return ErrExists
			}
			return nil
		}
		var all, live, sponsors int
		t.row("SELECT count(*), count(*) FILTER (WHERE dropped=0), count(*) FILTER (WHERE device=?) FROM devices WHERE account=?",
			[]any{sponsor, dev.Account}, &all, &live, &sponsors)
		switch {
		case sponsor == "" && all > 0, sponsor != "" && sponsors == 0:
			return ErrConflict
		case live >= max:
			return ErrFull
		}
		t.exec("INSERT INTO devices (account, device, key, founder) VALUES (?, ?, ?, ?)", dev.Account, dev.Device, dev.Key, all == 0)
		return nil
	})
}

// DeviceKey returns a device's public key, or ErrNotFound.
func (s *Delivery) DeviceKey(ctx context.Context, account, device string) (key []byte, err error) {
	err = s.db.queryRow(ctx, "SELECT key FROM devices WHERE account=? AND device=?", []any{account, device}, &key)
	return key, err
}

// Founder returns the device with which an account began, or ErrNotFound.
func (s *Delivery) Founder(ctx context.Context, account string) (Device, error) {
	d := Device{Account: account}
	err := s.db.queryRow(ctx, "SELECT device, key FROM devices WHERE account=? AND founder=1", []any{account}, &d.Device, &d.Key)
	return d, err
}

// DropDevice marks a device with a key as dropped for good and removes its key packages that
// nobody took. It reports whether there is such a device that was not dropped.
func (s *Delivery) DropDevice(ctx context.Context, dev Device) (bool, error) {
	var dropped bool // the committer's until it has answered: a caller that gave up reads none
	err := s.db.submit(ctx, func(t *tx) error {
		var key []byte
		var was bool
		dropped = t.row("SELECT key, dropped FROM devices WHERE account=? AND device=?", []any{dev.Account, dev.Device}, &key, &was) &&
			!was && string(key) == string(dev.Key)
		if dropped {
			t.exec("UPDATE devices SET dropped=1 WHERE account=? AND device=?", dev.Account, dev.Device)
			t.exec("DELETE FROM key_packages WHERE account=? AND device=? AND request IS NULL", dev.Account, dev.Device)
		}
		return nil
	})
	if err != nil {
		return false, err
	}
	return dropped, nil
}

// Dropped reports whether a device was dropped.
func (s *Delivery) Dropped(ctx context.Context, account, device string) (dropped bool, err error) {
	err = s.db.queryRow(ctx, "SELECT dropped FROM devices WHERE account=? AND device=?", []any{account, device}, &dropped)
	return dropped, err
}

// LiveDevices returns an account's devices that were not dropped, by name.
func (s *Delivery) LiveDevices(ctx context.Context, account string) (list []Device, err error) {
	const query = "SELECT account, device, key FROM devices WHERE account=? AND dropped=0 ORDER BY device"
	err = s.db.query(ctx, query, []any{account}, func(rows *sql.Rows) error {
		var d Device
		err := rows.Scan(&d.Account, &d.Device, &d.Key)
		list = append(list, d)
		return err
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// A Deposit is a capsule on its way into the store.
type Deposit struct {
	Compartment
	Name      []byte // 32 bytes; what is stored under it stays
	Depositor string // a device's name
	Body      []byte
	Max       int // capsules of this depositor in this compartment
}

// PutCapsule stores a capsule once: what is there stays. ErrFull if the depositor has
// too many.
func (s *Delivery) PutCapsule(ctx context.Context, d *Deposit) error {
	hash := hashOf(d.Body)
	return s.db.submit(ctx, func(t *tx) error { return d.put(t, hash) })
}

func (d *Deposit) put(t *tx, hash []byte) error {
	if d.Epoch >= Forever {
		return ErrConflict
	}
	key := []any{d.Conversation, d.Epoch, d.Leaf, d.Name}
	var n int
	if t.row("SELECT 1 FROM capsules WHERE conv=? AND epoch=? AND leaf=? AND name=?", key, &n) {
		return nil
	}
	t.row("SELECT count(*) FROM capsules WHERE conv=? AND epoch=? AND leaf=? AND depositor=?", []any{d.Conversation, d.Epoch, d.Leaf, d.Depositor}, &n)
	if n >= d.Max {
		return ErrFull
	}
	t.exec("INSERT INTO capsules (conv, epoch, leaf, name, depositor, body, hash) VALUES (?, ?, ?, ?, ?, ?, ?)",
		append(key, d.Depositor, d.Body, hash)...)
	return nil
}

// HasCapsule reports whether a capsule of that name is stored.
func (s *Delivery) HasCapsule(ctx context.Context, c Compartment, name []byte) (bool, error) {
	var n int
	err := s.db.queryRow(ctx, "SELECT count(*) FROM capsules WHERE conv=? AND epoch=? AND leaf=? AND name=?",
		[]any{c.Conversation, c.Epoch, c.Leaf, name}, &n)
	return n > 0, err
}

// Capsules returns a compartment's capsules in the order they came.
func (s *Delivery) Capsules(ctx context.Context, c Compartment) ([][]byte, error) {
	return s.bodies(ctx, "SELECT body, hash FROM capsules WHERE conv=? AND epoch=? AND leaf=? ORDER BY id", c.Conversation, c.Epoch, c.Leaf)
}

// A Compartment is one sender's leaf in one epoch of one conversation.
type Compartment struct {
	Conversation []byte
	Epoch        uint64
	Leaf         uint32
}

func (c Compartment) String() string {
	return fmt.Sprintf("conversation %x epoch %d leaf %d", c.Conversation, c.Epoch, c.Leaf)
}
