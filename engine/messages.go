package engine

import (
	"context"
	"database/sql"
	"fmt"
)

// A Message is one stored MLSMessage.
type Message struct {
	Conversation []byte
	Seq          uint64 // 1, 2, ... in its conversation; the store gives it
	Mid          []byte
	Epoch        uint64
	Kind         Kind
	Sender       uint32 // leaf index
	Received     uint64 // Unix milliseconds
	Body         []byte
	Deposit      *Deposit // a capsule that comes with it, for Append; not set on reading
}

// Kind says what a message is. The numbers are stored.
type Kind uint8

const (
	Application Kind = 1
	Commit      Kind = 2
	Proposal    Kind = 3
)

// LateEpochs is for how many epochs after its own an application message is
// still taken. So the messages of epoch e stand before the commit that starts
// epoch e+LateEpochs+1.
const LateEpochs = 3

// Append stores an application message or a proposal and sets its Seq, and before it
// its Deposit. A mid that is stored already gives the seq it has; ErrExists if its body
// is another. ErrConflict if the conversation is in another epoch, which for an
// application message may be up to LateEpochs after its own. ErrFull as PutCapsule. A
// capsule stays deposited where its message is not taken.
func (s *Delivery) Append(ctx context.Context, m *Message) error {
	hash, sealed := hashOf(m.Body), []byte(nil)
	if m.Deposit != nil {
		sealed = hashOf(m.Deposit.Body)
	}
	return s.db.submit(ctx, func(t *tx) error {
		if m.Deposit != nil {
			if err := m.Deposit.put(t, sealed); err != nil {
				return err
			}
		}
		if !s.insert(t, m, hash) {
			return s.settle(t, m, hash)
		}
		return nil
	})
}

// insert gives m the next seq and reports false, writing nothing, if its mid is
// stored or the conversation isn't in an epoch that takes it.
func (s *Delivery) insert(t *tx, m *Message, hash []byte) bool {
	late := uint64(0)
	if m.Kind == Application {
		late = LateEpochs
	}
	if m.Epoch > Forever-late {
		return false
	}
	inserted := t.row(`INSERT INTO messages (conv, seq, mid, epoch, kind, sender, received, body, hash)
		SELECT ?1, 1 + coalesce((SELECT max(seq) FROM messages WHERE conv=?1), 0), ?2, ?3, ?4, ?5, ?6, ?7, ?8
		FROM conversations WHERE conv=?1 AND epoch BETWEEN ?3 AND ?9
		ON CONFLICT (conv, mid) DO NOTHING RETURNING seq`,
		[]any{m.Conversation, m.Mid, m.Epoch, m.Kind, m.Sender, m.Received, nonNil(m.Body), hash, m.Epoch + late}, &m.Seq)
	if inserted {
		t.then(func() { s.committed(m) })
	}
	return inserted
}

// settle answers a message that was not inserted: with the seq it has, ErrExists
// if its mid is another's, or else ErrConflict.
func (s *Delivery) settle(t *tx, m *Message, hash []byte) error {
	var seq uint64
	var stored []byte
	if !t.row("SELECT seq, hash FROM messages WHERE conv=? AND mid=?", []any{m.Conversation, m.Mid}, &seq, &stored) {
		return ErrConflict
	}
	if string(stored) != string(hash) {
		return ErrExists
	}
	m.Seq = seq
	return nil
}

const messageColumns = "m.conv, m.seq, m.mid, m.epoch, m.kind, m.sender, m.received, m.body, m.hash"

func scanMessage(rows *sql.Rows) (*Message, error) {
	m, hash := new(Message), []byte(nil)
	if err := rows.Scan(&m.Conversation, &m.Seq, &m.Mid, &m.Epoch, &m.Kind, &m.Sender, &m.Received, &m.Body, &hash); err != nil {
		return nil, err
	}
	if err := checkHash(m.Body, hash); err != nil {
		return nil, fmt.Errorf("%w: message %d of conversation %x", err, m.Seq, m.Conversation)
	}
	return m, nil
}

// Range selects messages of one conversation, in order of seq.
type Range struct {
	Conversation  []byte
	After, Before uint64 // seq, both exclusive; Before 0 is no bound
	MaxCount      int
	MaxBytes      int // of bodies; the first message always comes
}

// Read returns the range's messages that the device may see: those from the
// commit that added it to the commit that removed it.
func (s *Delivery) Read(ctx context.Context, r Range, account, device string) ([]*Message, error) {
	return s.read(ctx, r, `SELECT `+messageColumns+` FROM messages m WHERE m.conv=? AND m.seq>? AND m.seq<?
		AND EXISTS (SELECT 1 FROM members p WHERE p.conv=m.conv AND p.account=? AND p.device=? AND m.seq BETWEEN p.from_seq AND p.to_seq)
		ORDER BY m.seq LIMIT ?`, account, device)
}

// Handshake returns the range's commits and proposals.
func (s *Delivery) Handshake(ctx context.Context, r Range) ([]*Message, error) {
	return s.read(ctx, r, "SELECT "+messageColumns+" FROM messages m WHERE m.conv=? AND m.seq>? AND m.seq<? AND m.kind IN (?, ?) ORDER BY m.seq LIMIT ?",
		Commit, Proposal)
}

// ReadCompartment returns the range's application messages of one sender and epoch.
func (s *Delivery) ReadCompartment(ctx context.Context, r Range, epoch uint64, leaf uint32) ([]*Message, error) {
	return s.read(ctx, r, "SELECT "+messageColumns+" FROM messages m WHERE m.conv=? AND m.seq>? AND m.seq<? AND m.kind=1 AND m.epoch=? AND m.sender=? ORDER BY m.seq LIMIT ?",
		epoch, leaf)
}

// read runs a query whose arguments are conversation, after, before, args, limit.
func (s *Delivery) read(ctx context.Context, r Range, query string, args ...any) ([]*Message, error) {
	all := append([]any{r.Conversation, r.After, r.before()}, args...)
	var list []*Message
	size := 0
	err := s.db.query(ctx, query, append(all, r.MaxCount), func(rows *sql.Rows) error {
		m, err := scanMessage(rows)
		if err != nil {
			return err
		}
		if size += len(m.Body); size > r.MaxBytes && len(list) > 0 {
			return errEnough
		}
		list = append(list, m)
		return nil
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}

func (r Range) before() uint64 {
	if r.Before == 0 {
		return 1<<63 - 1
	}
	return r.Before
}

// CountCompartment counts the application messages of one sender and epoch
// between two seqs, both exclusive.
func (s *Delivery) CountCompartment(ctx context.Context, r Range, epoch uint64, leaf uint32) (n uint32, err error) {
	err = s.db.queryRow(ctx, "SELECT count(*) FROM messages m WHERE m.conv=? AND m.seq>? AND m.seq<? AND m.kind=1 AND m.epoch=? AND m.sender=?",
		[]any{r.Conversation, r.After, r.before(), epoch, leaf}, &n)
	return n, err
}

// FindMid returns the message of a mid, or ErrNotFound.
func (s *Delivery) FindMid(ctx context.Context, conversation, mid []byte) (*Message, error) {
	list, err := s.read(ctx, Range{Conversation: conversation, MaxCount: 1}, "SELECT "+messageColumns+" FROM messages m WHERE m.conv=? AND m.seq>? AND m.seq<? AND m.mid=? LIMIT ?", mid)
	if err != nil {
		return nil, err
	}
	if len(list) == 0 {
		return nil, ErrNotFound
	}
	return list[0], nil
}

// bodies returns the bodies of rows of (body, hash).
func (s *Delivery) bodies(ctx context.Context, query string, args ...any) ([][]byte, error) {
	var list [][]byte
	err := s.db.query(ctx, query, args, func(rows *sql.Rows) error {
		var body, hash []byte
		if err := rows.Scan(&body, &hash); err != nil {
			return err
		}
		list = append(list, body)
		return checkHash(body, hash)
	})
	if err != nil {
		return nil, err
	}
	return list, nil
}
