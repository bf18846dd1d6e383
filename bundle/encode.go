package bundle

import (
	"bytes"
	"crypto/sha256"
	"slices"

	"writ/capsule"
	"writ/directory/keyproof"
	"writ/internal/wire"
	"writ/ledger"
	"writ/warrant"
)

// Bounds of a bundle.
const (
	MaxSize         = 256 << 20        // bytes
	MaxCompartments = ledger.MaxLeaves // 1024
	MaxMessages     = 1 << 16          // of a compartment
	MaxAllMessages  = 1 << 20
	MaxReadings     = 4096
	MaxAccounts     = MaxCompartments
)

const (
	magic = "writ bundle v1\n"

	// readingsRoom is left for the readings that are put in later: else one would be
	// recorded, and the bundle be too large to be shown.
	readingsRoom = MaxReadings * 16 << 10

	maxCharters = 1024
	maxKeys     = 4096
	maxReleases = 64
	maxRoster   = 4096
	maxPublic   = 1 << 20 // group context, leaf proof
	maxSecret   = 64
)

// size is about the encoding's size: the parts that can be large.
func (c *Contents) size() int {
	n := len(c.Warrant)
	for _, list := range [][]Proven{c.Charters, c.Keys, c.Releases, c.Readings, {c.WarrantEntry, c.RequestEntry}} {
		for _, p := range list {
			n += len(p.Entry) + len(p.Proof)
		}
	}
	for _, p := range c.Accounts {
		n += len(p)
	}
	for _, x := range c.Compartments {
		n += len(x.Capsule) + len(x.GroupContext) + len(x.LeafProof) + 256
		for _, m := range x.Messages {
			n += len(m.Ciphertext) + 21
		}
	}
	return n
}

func (c *Contents) encode() []byte {
	var w wire.Writer
	w.Fixed([]byte(magic))
	encodeList(&w, c.Charters, Proven.write)
	encodeList(&w, c.Keys, Proven.write)
	w.Opaque(c.Warrant)
	w.Fixed(c.WarrantSalt[:])
	c.WarrantEntry.write(&w)
	c.RequestEntry.write(&w)
	w.Fixed(c.NoticeSalt[:])
	encodeList(&w, c.Releases, Proven.write)
	encodeList(&w, c.Readings, Proven.write)
	encodeList(&w, c.Accounts, func(p []byte, w *wire.Writer) { w.Opaque(p) })
	encodeList(&w, c.Compartments, Compartment.write)
	return seal(w.Bytes())
}

// seal appends the checksum.
func seal(b []byte) []byte {
	sum := sha256.Sum256(b)
	return append(b, sum[:]...)
}

func encodeList[T any](w *wire.Writer, list []T, write func(T, *wire.Writer)) {
	w.Vector(func(w *wire.Writer) {
		for _, x := range list {
			write(x, w)
		}
	})
}

func (p Proven) write(w *wire.Writer) {
	w.Opaque(p.Entry)
	w.Opaque(p.Proof)
}

func (c Compartment) write(w *wire.Writer) {
	for _, b := range [][]byte{c.Capsule, c.Ratchet, c.SenderData} {
		w.Opaque(b)
	}
	encodeList(w, c.Shares, func(s [capsule.ShareSize]byte, w *wire.Writer) { w.Fixed(s[:]) })
	for _, b := range [][]byte{c.GroupContext, c.LeafProof, c.RosterProof} {
		w.Opaque(b)
	}
	encodeList(w, c.Messages, Message.write)
	w.Uint32(c.Count)
	w.Fixed(statement(c.Statement))
}

// statement gives a signature of another size the size the format has; it
// won't verify.
func statement(sig []byte) []byte {
	var b [64]byte
	copy(b[:], sig)
	return b[:]
}

func (m Message) write(w *wire.Writer) {
	w.Uint64(m.Seq)
	w.Uint64(m.Received)
	aside := uint8(0)
	if m.Aside {
		aside = 1
	}
	w.Uint8(aside)
	w.Opaque(m.Ciphertext)
}

// parse takes a bundle apart and checks its checksum. Its parts are parsed in
// the course of verification. What it returns aliases b.
func parse(b []byte) (*Contents, error) {
	if len(b) > MaxSize {
		return nil, malformed("%d bytes, at most %d are allowed", len(b), MaxSize)
	}
	if !bytes.HasPrefix(b, []byte(magic)) || len(b) < len(magic)+sha256.Size {
		return nil, malformed("not a bundle")
	}
	body, sum := b[:len(b)-sha256.Size], b[len(b)-sha256.Size:]
	if got := sha256.Sum256(body); !bytes.Equal(got[:], sum) {
		return nil, malformed("the checksum is wrong: the file is damaged or was changed")
	}
	r := wire.NewReader(body[len(magic):])
	c := &Contents{
		Charters: readList(r, maxCharters, readProven), Keys: readList(r, maxKeys, readProven),
		Warrant: r.Opaque(warrant.MaxSize), WarrantSalt: r.Array32(),
		WarrantEntry: readProven(r), RequestEntry: readProven(r), NoticeSalt: r.Array32(),
		Releases: readList(r, maxReleases, readProven), Readings: readList(r, MaxReadings, readProven),
		Accounts: readList(r, MaxAccounts, func(r *wire.Reader) []byte { return r.Opaque(keyproof.MaxProof) }),
	}
	messages := 0
	c.Compartments = readList(r, MaxCompartments, func(r *wire.Reader) Compartment {
		x := readCompartment(r)
		if messages += len(x.Messages); messages > MaxAllMessages {
			r.Fail("more than %d messages", MaxAllMessages)
		}
		return x
	})
	if err := r.Done(); err != nil {
		return nil, malformed("%v", err)
	}
	return c, nil
}

// readList reads a vector of at most most elements.
func readList[T any](r *wire.Reader, most int, read func(*wire.Reader) T) []T {
	var list []T
	in := r.Vector(MaxSize)
	for in.More() {
		if len(list) == most {
			in.Fail("more than %d elements in a list", most)
		}
		list = append(list, read(in))
	}
	r.Check(in.Done())
	return list
}

func readProven(r *wire.Reader) Proven {
	return Proven{r.Opaque(ledger.MaxEntry), r.Opaque(ledger.MaxProof)}
}

func readCompartment(r *wire.Reader) Compartment {
	return Compartment{
		Capsule: r.Opaque(capsule.MaxSize), Ratchet: r.Opaque(maxSecret), SenderData: r.Opaque(maxSecret),
		Shares:       readList(r, maxReleases, func(r *wire.Reader) [capsule.ShareSize]byte { return r.Array32() }),
		GroupContext: r.Opaque(maxPublic), LeafProof: r.Opaque(maxPublic), RosterProof: r.Opaque(maxRoster),
		Messages: readList(r, MaxMessages, readMessage), Count: r.Uint32(), Statement: r.Fixed(64),
	}
}

func readMessage(r *wire.Reader) Message {
	m := Message{Seq: r.Uint64(), Received: r.Uint64()}
	aside := r.Uint8()
	if aside > 1 {
		r.Fail("%d where 0 or 1 belongs", aside)
	}
	m.Aside, m.Ciphertext = aside == 1, r.Opaque(MaxSize)
	return m
}

// opened reports whether the capsule was opened.
func (c *Compartment) opened() bool { return len(c.Ratchet) > 0 || len(c.SenderData) > 0 }

// settle sets what a builder decides: which messages are set aside, and whether
// there is a roster proof. What doesn't parse is left for Verify to refuse.
func (c *Compartment) settle(order []byte) {
	w, err := warrant.Parse(order)
	if err != nil {
		return
	}
	sealed, err := capsule.Parse(c.Capsule)
	if err != nil {
		return
	}
	if sealed.Label().Account == w.Subject {
		c.RosterProof = nil
	}
	c.Messages = slices.Clone(c.Messages)
	s, err := c.sender(sealed)
	if err != nil {
		return
	}
	defer s.erase()
	for i := range c.Messages {
		m := &c.Messages[i]
		_, err := s.open(m.Ciphertext)
		m.Aside = err != nil
	}
}
