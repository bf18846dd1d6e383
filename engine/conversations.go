package engine

import (
	"context"
	"database/sql"
	"errors"
	"fmt"
)

// An Epoch is what is kept of one epoch of a conversation.
type Epoch struct {
	Epoch   uint64
	Seq     uint64   // of the commit that started it; 0 for epoch 0
	Opened  uint64   // opening time, Unix seconds
	Roster  [32]byte // Merkle root of the member accounts
	Context []byte   // MLS group context
}

// A Member is one device's stay at a leaf of a conversation, with one charter. A
// stay ends when the device is removed or its charter changes.
type Member struct {
	Conversation    []byte // set on reading
	Leaf            uint32
	Account, Device string
	Charter         [32]byte
	FromEpoch       uint64 // the first epoch as a member
	FromSeq         uint64 // the commit that started it
	ToEpoch, ToSeq  uint64 // the epoch that ended it and its commit; Forever until then
}

// Forever is Member.ToEpoch and Member.ToSeq of a present member.
const Forever = 1<<63 - 1

// PutConversation stores a new conversation in epoch 0. Info is what it was made
// from: the same again is no error, ErrExists if it is another.
func (s *Delivery) PutConversation(ctx context.Context, conversation, info []byte, e Epoch, creator Member, snapshot []byte) error {
	hash := hashOf(info)
	return s.db.submit(ctx, func(t *tx) error {
		if t.exec("INSERT INTO conversations (conv, epoch, info) VALUES (?, 0, ?) ON CONFLICT DO NOTHING", conversation, hash) == 0 {
			var stored []byte
			t.row("SELECT info FROM conversations WHERE conv=?", []any{conversation}, &stored)
			if string(stored) != string(hash) {
				return ErrExists
			}
			return nil
		}
		putEpoch(t, conversation, e)
		putMember(t, conversation, creator)
		putSnapshot(t, conversation, 0, snapshot)
		return nil
	})
}

// MadeFrom returns nil if a conversation was made from info, ErrExists if it was made from
// another, or ErrNotFound.
func (s *Delivery) MadeFrom(ctx context.Context, conversation, info []byte) error {
	var stored []byte
	if err := s.db.queryRow(ctx, "SELECT info FROM conversations WHERE conv=?", []any{conversation}, &stored); err != nil {
		return err
	}
	if string(stored) != string(hashOf(info)) {
		return ErrExists
	}
	return nil
}

// A Transition is a commit and all that changes with it.
type Transition struct {
	Message  *Message // Kind Commit; its epoch is the one it ends
	Next     Epoch    // Seq is set by CommitEpoch
	Joined   []Member // stays that begin; FromSeq is set by CommitEpoch
	Left     []uint32 // leaves whose stay ends; before Joined, so a leaf may be in both
	Welcomed []Addition
	Welcome  []byte
	Snapshot []byte // of the group in the new epoch, or nil
}

// An Addition is a device that a commit adds, which the welcome is for. LeafKey is its
// leaf's encryption key, by which a key package is known: each adds its device once.
type Addition struct {
	Account, Device string
	LeafKey         []byte
}

// CommitEpoch stores a transition if its epoch is still the current one, and
// sets the message's Seq. ErrConflict if another commit has ended that epoch; its seq
// is returned. ErrSpent if a key package added its device before. The same message
// again gives its seq and no error.
func (s *Delivery) CommitEpoch(ctx context.Context, c *Transition) (uint64, error) {
	var winner uint64
	m, hash := c.Message, hashOf(c.Message.Body)
	err := s.db.submit(ctx, func(t *tx) error {
		var n int
		if t.row("SELECT 1 FROM conversations WHERE conv=? AND epoch=?", []any{m.Conversation, m.Epoch}, &n) && c.spent(t) {
			return ErrSpent
		}
		if !s.insert(t, m, hash) {
			t.row("SELECT seq FROM epochs WHERE conv=? AND epoch=?", []any{m.Conversation, m.Epoch + 1}, &winner)
			return s.settle(t, m, hash)
		}
		c.store(t)
		return nil
	})
	if err != nil && !errors.Is(err, ErrConflict) { // of a caller that gave up the committer may still write
		return 0, err
	}
	return winner, err
}

// spent reports whether a device's key package was used.
func (c *Transition) spent(t *tx) bool {
	for _, d := range c.Welcomed {
		var n int
		if t.row("SELECT 1 FROM spent WHERE account=? AND leaf=?", []any{d.Account, hashOf(d.LeafKey)}, &n) {
			return true
		}
	}
	return false
}

// store writes what follows from a commit whose message is inserted.
func (c *Transition) store(t *tx) {
	conversation, seq := c.Message.Conversation, c.Message.Seq
	t.exec("UPDATE conversations SET epoch=? WHERE conv=?", c.Next.Epoch, conversation)
	c.Next.Seq = seq
	putEpoch(t, conversation, c.Next)
	for _, leaf := range c.Left {
		t.exec("UPDATE members SET to_epoch=?, to_seq=? WHERE conv=? AND leaf=? AND to_epoch=?", c.Next.Epoch, seq, conversation, leaf, int64(Forever))
	}
	for _, m := range c.Joined {
		m.FromSeq = seq
		putMember(t, conversation, m)
	}
	if c.Snapshot != nil {
		putSnapshot(t, conversation, c.Next.Epoch, c.Snapshot)
	}
	if len(c.Welcomed) > 0 {
		t.exec("INSERT INTO welcomes (conv, epoch, body, hash) VALUES (?, ?, ?, ?)", conversation, c.Next.Epoch, c.Welcome, hashOf(c.Welcome))
	}
	for _, d := range c.Welcomed {
		t.exec("INSERT INTO spent (account, leaf) VALUES (?, ?) ON CONFLICT DO NOTHING", d.Account, hashOf(d.LeafKey))
		t.exec("INSERT INTO welcome_queue (account, device, conv, epoch, seq) VALUES (?, ?, ?, ?, ?) ON CONFLICT DO NOTHING",
			d.Account, d.Device, conversation, c.Next.Epoch, seq)
	}
}

func putEpoch(t *tx, conversation []byte, e Epoch) {
	t.exec("INSERT INTO epochs (conv, epoch, seq, opened, roster, context, hash) VALUES (?, ?, ?, ?, ?, ?, ?)",
		conversation, e.Epoch, e.Seq, e.Opened, e.Roster[:], e.Context, hashOf(e.Context))
}

func putMember(t *tx, conversation []byte, m Member) {
	t.exec("INSERT INTO members (conv, leaf, account, device, charter, from_epoch, from_seq) VALUES (?, ?, ?, ?, ?, ?, ?)",
		conversation, m.Leaf, m.Account, m.Device, m.Charter[:], m.FromEpoch, m.FromSeq)
}

func putSnapshot(t *tx, conversation []byte, epoch uint64, body []byte) {
	t.exec("INSERT INTO snapshots (conv, epoch, body, hash) VALUES (?, ?, ?, ?)", conversation, epoch, body, hashOf(body))
}

// CurrentEpoch returns a conversation's epoch, or ErrNotFound.
func (s *Delivery) CurrentEpoch(ctx context.Context, conversation []byte) (epoch uint64, err error) {
	err = s.db.queryRow(ctx, "SELECT epoch FROM conversations WHERE conv=?", []any{conversation}, &epoch)
	return epoch, err
}

// LastSeq returns the seq of a conversation's last message, 0 if it has none.
func (s *Delivery) LastSeq(ctx context.Context, conversation []byte) (seq uint64, err error) {
	err = s.db.queryRow(ctx, "SELECT coalesce(max(seq), 0) FROM messages WHERE conv=?", []any{conversation}, &seq)
	return seq, err
}

// Epochs returns at most limit epochs of a conversation from one on, in order.
func (s *Delivery) Epochs(ctx context.Context, conversation []byte, from uint64, limit int) ([]Epoch, error) {
	var list []Epoch
	err := s.db.query(ctx, "SELECT epoch, seq, opened, roster, context, hash FROM epochs WHERE conv=? AND epoch>=? ORDER BY epoch LIMIT ?",
		[]any{conversation, from, limit}, func(rows *sql.Rows) error {
			var e Epoch
			var roster, hash []byte
			if err := rows.Scan(&e.Epoch, &e.Seq, &e.Opened, &roster, &e.Context, &hash); err != nil {
				return err
			}
			if copy(e.Roster[:], roster) != 32 {
				return ErrCorrupt
			}
			list = append(list, e)
			return checkHash(e.Context, hash)
		})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// Snapshot returns the last snapshot at or before an epoch, and its epoch.
func (s *Delivery) Snapshot(ctx context.Context, conversation []byte, epoch uint64) (body []byte, at uint64, err error) {
	var hash []byte
	err = s.db.queryRow(ctx, "SELECT epoch, body, hash FROM snapshots WHERE conv=? AND epoch<=? ORDER BY epoch DESC LIMIT 1", []any{conversation, epoch}, &at, &body, &hash)
	if err != nil {
		return nil, 0, err
	}
	if err := checkHash(body, hash); err != nil {
		return nil, 0, fmt.Errorf("%w: snapshot of conversation %x", err, conversation)
	}
	return body, at, nil
}

const memberColumns = "conv, leaf, account, device, charter, from_epoch, from_seq, to_epoch, to_seq"

func (s *Delivery) members(ctx context.Context, query string, args ...any) ([]Member, error) {
	var list []Member
	err := s.db.query(ctx, query, args, func(rows *sql.Rows) error {
		var m Member
		var charter []byte
		if err := rows.Scan(&m.Conversation, &m.Leaf, &m.Account, &m.Device, &charter, &m.FromEpoch, &m.FromSeq, &m.ToEpoch, &m.ToSeq); err != nil {
			return err
		}
		if copy(m.Charter[:], charter) != 32 {
			return ErrCorrupt
		}
		list = append(list, m)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// Members returns who was in a conversation in an epoch, by leaf.
func (s *Delivery) Members(ctx context.Context, conversation []byte, epoch uint64) ([]Member, error) {
	return s.members(ctx, "SELECT "+memberColumns+" FROM members WHERE conv=? AND from_epoch<=? AND to_epoch>? ORDER BY leaf", conversation, epoch, epoch)
}

// Stays returns a device's stays in a conversation, in order; none if it never
// was a member.
func (s *Delivery) Stays(ctx context.Context, conversation []byte, account, device string) ([]Member, error) {
	return s.members(ctx, "SELECT "+memberColumns+" FROM members WHERE account=? AND device=? AND conv=? ORDER BY from_epoch", account, device, conversation)
}

// StaysOfDevice returns a device's stays in the next limit conversations after
// one, by conversation and epoch.
func (s *Delivery) StaysOfDevice(ctx context.Context, account, device string, after []byte, limit int) ([]Member, error) {
	return s.members(ctx, "SELECT "+memberColumns+` FROM members WHERE account=?1 AND device=?2 AND conv IN (
		SELECT DISTINCT conv FROM members WHERE account=?1 AND device=?2 AND conv>?3 ORDER BY conv LIMIT ?4) ORDER BY conv, from_epoch`,
		account, device, nonNil(after), limit)
}

// ConversationsOf returns the next limit conversations after one that any
// device of the account is or was in, in order of id.
func (s *Delivery) ConversationsOf(ctx context.Context, account string, after []byte, limit int) ([][]byte, error) {
	var list [][]byte
	err := s.db.query(ctx, "SELECT DISTINCT conv FROM members WHERE account=? AND conv>? ORDER BY conv LIMIT ?",
		[]any{account, nonNil(after), limit}, func(rows *sql.Rows) error {
			var conversation []byte
			err := rows.Scan(&conversation)
			list = append(list, conversation)
			return err
		})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// A Welcome waits for one device.
type Welcome struct {
	ID           uint64
	Conversation []byte
	Epoch, Seq   uint64 // that it leads into, and of the commit
	Body         []byte
	More         bool
}

// Welcomes returns a device's oldest waiting welcomes, so many that their bodies have
// at most maxBytes, but one at least. More of the last says whether others wait.
func (s *Delivery) Welcomes(ctx context.Context, account, device string, maxBytes int) ([]Welcome, error) {
	var list []Welcome
	size := 0
	err := s.db.query(ctx, `SELECT q.id, q.conv, q.epoch, q.seq, w.body, w.hash FROM welcome_queue q JOIN welcomes w ON w.conv=q.conv AND w.epoch=q.epoch
		WHERE q.account=? AND q.device=? ORDER BY q.id`, []any{account, device}, func(rows *sql.Rows) error {
		var w Welcome
		var hash []byte
		if err := rows.Scan(&w.ID, &w.Conversation, &w.Epoch, &w.Seq, &w.Body, &hash); err != nil {
			return err
		}
		if size += len(w.Body); size > maxBytes && len(list) > 0 {
			list[len(list)-1].More = true
			return errEnough
		}
		list = append(list, w)
		return checkHash(w.Body, hash)
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

// ForgetWelcomes removes a device's welcomes, and a body nobody waits for.
func (s *Delivery) ForgetWelcomes(ctx context.Context, account, device string, ids []uint64) error {
	return s.db.submit(ctx, func(t *tx) error {
		for _, id := range ids {
			var conversation []byte
			var epoch uint64
			if id > Forever || !t.row("DELETE FROM welcome_queue WHERE id=? AND account=? AND device=? RETURNING conv, epoch", []any{id, account, device}, &conversation, &epoch) {
				continue
			}
			t.exec("DELETE FROM welcomes WHERE conv=?1 AND epoch=?2 AND NOT EXISTS (SELECT 1 FROM welcome_queue WHERE conv=?1 AND epoch=?2)", conversation, epoch)
		}
		return nil
	})
}
