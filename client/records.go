package client

import (
	"fmt"
	"strconv"
	"strings"
	"time"

	"writ/capsule"
	"writ/charter"
	"writ/directory"
	"writ/internal/wire"
	"writ/mls"
)

// Keys of the records in a conversation's space. Numbers are 16 digits of
// hexadecimal, so that order of keys is order of numbers.
const (
	keyGroup   = "g/" // the records of the mls.Group
	keyState   = "state"
	keyPage    = "page" // the newest events
	keyPending = "pending"
	keyEpoch   = "epoch/"
	keyCapsule = "capsule/" // + epoch "/" leaf
	keyOutbox  = "out/"
	keyHeld    = "held/"  // + seq
	keyAside   = "aside/" // + seq
)

func numbered(prefix string, n uint64) string { return fmt.Sprintf("%s%016x", prefix, n) }

func numberOf(key, prefix string) (uint64, error) {
	n, err := strconv.ParseUint(strings.TrimPrefix(key, prefix), 16, 64)
	if err != nil {
		return 0, fmt.Errorf("client: record %q: %w", key, wire.ErrMalformed)
	}
	return n, nil
}

// state is what a conversation counts.
type state struct {
	cursor    uint64    // the last seq that was processed
	synced    time.Time // own clock when everything delivery had was processed
	nextEvent uint64
	nextItem  uint64
	seen      uint64 // events up to this number were marked as read
	gone      bool   // this device is no longer a member
	spoken    bool   // this device has said something
	renew     bool   // commit before the next message: one was sealed in this epoch that won't arrive
}

func (s *state) encode() []byte {
	var w wire.Writer
	w.Uint64(s.cursor)
	w.Uint64(uint64(s.synced.Unix()))
	w.Uint64(s.nextEvent)
	w.Uint64(s.nextItem)
	w.Uint64(s.seen)
	w.Uint8(flag(s.gone))
	w.Uint8(flag(s.spoken))
	w.Uint8(flag(s.renew))
	return w.Bytes()
}

func parseState(b []byte) (state, error) {
	r := wire.NewReader(b)
	s := state{cursor: r.Uint64(), synced: time.Unix(int64(r.Uint64()), 0), nextEvent: r.Uint64(), nextItem: r.Uint64(),
		seen: r.Uint64(), gone: readFlag(r), spoken: readFlag(r), renew: readFlag(r)}
	return s, r.Done()
}

func readFlag(r *wire.Reader) bool {
	v := r.Uint8()
	if v > 1 {
		r.Fail("%d is no flag", v)
	}
	return v == 1
}

// An epoch is what stays of one epoch for the labels of its capsules.
type epoch struct {
	opened  uint64 // Unix seconds
	flags   capsule.Flags
	roster  [32]byte
	members map[mls.LeafIndex]member
}

type member struct {
	directory.Identity
	law charter.Hash
}

func (e *epoch) encode() []byte {
	var w wire.Writer
	w.Uint64(e.opened)
	w.Uint8(uint8(e.flags))
	w.Fixed(e.roster[:])
	w.Vector(func(w *wire.Writer) {
		for _, leaf := range sortedKeys(e.members) {
			m := e.members[leaf]
			w.Uint32(uint32(leaf))
			w.Opaque(m.Identity.Encode())
			w.Fixed(m.law[:])
		}
	})
	return w.Bytes()
}

func parseEpoch(b []byte) (*epoch, error) {
	r := wire.NewReader(b)
	e := &epoch{opened: r.Uint64(), flags: capsule.Flags(r.Uint8()), roster: r.Array32(), members: map[mls.LeafIndex]member{}}
	v := r.Vector(maxRecord)
	for v.More() {
		leaf := mls.LeafIndex(v.Uint32())
		id, err := directory.ParseIdentity(v.Opaque(4 * wire.MaxName))
		v.Check(err)
		e.members[leaf] = member{id, v.Array32()}
	}
	r.Check(v.Done())
	if err := r.Done(); err != nil {
		return nil, err
	}
	return e, nil
}

// A place names a compartment within its conversation.
type place struct {
	epoch uint64
	leaf  mls.LeafIndex
}

func (p place) key() string { return fmt.Sprintf("%s%016x/%08x", keyCapsule, p.epoch, uint32(p.leaf)) }

func parsePlace(key string) (place, error) {
	epoch, leaf, _ := strings.Cut(strings.TrimPrefix(key, keyCapsule), "/")
	e, err := strconv.ParseUint(epoch, 16, 64)
	if err != nil {
		return place{}, fmt.Errorf("client: record %q: %w", key, wire.ErrMalformed)
	}
	l, err := strconv.ParseUint(leaf, 16, 32)
	if err != nil {
		return place{}, fmt.Errorf("client: record %q: %w", key, wire.ErrMalformed)
	}
	return place{e, mls.LeafIndex(l)}, nil
}

// A compartment is what a device keeps of one: the hash that the capsule must
// have, empty if the sender's law has no exceptional access.
type compartment struct {
	want   []byte // what the authenticated data must be
	stored bool   // delivery has the capsule
	next   uint32 // the generation that follows the highest seen
}

func (c *compartment) encode() []byte {
	var w wire.Writer
	w.Opaque(c.want)
	w.Uint8(flag(c.stored))
	w.Uint32(c.next)
	return w.Bytes()
}

func parseCompartment(b []byte) (*compartment, error) {
	r := wire.NewReader(b)
	c := &compartment{r.Opaque(32), readFlag(r), r.Uint32()}
	return c, r.Done()
}

type itemKind uint8

const (
	itemText itemKind = iota + 1
	itemInvite
	itemRemove
	itemRenew
	itemExpel // revoked devices
)

// An item is something the person asked for that delivery has not yet taken.
type item struct {
	number  uint64
	kind    itemKind
	mid     [16]byte // of the message, or of the request for key packages
	text    string   // itemText: what is said; itemInvite, itemRemove: an account
	epoch   uint64   // of sealed
	sealed  []byte   // itemText: the ciphertext; empty if there is none yet
	capsule []byte   // itemText: of the compartment, where sealed is the first in it
	seq     uint64   // itemText: where delivery says it is; 0 if it has not said
	told    []string // itemInvite: the devices of which the person was told that they were not let in
	lost    bool     // this device was removed before delivery took it; not stored
}

func (i *item) encode() []byte {
	var w wire.Writer
	w.Uint64(i.number)
	w.Uint8(uint8(i.kind))
	w.Fixed(i.mid[:])
	w.Opaque([]byte(i.text))
	w.Uint64(i.epoch)
	w.Opaque(i.sealed)
	w.Opaque(i.capsule)
	w.Uint64(i.seq)
	w.Vector(func(w *wire.Writer) {
		for _, device := range i.told {
			w.String(device)
		}
	})
	return w.Bytes()
}

func parseItem(b []byte) (*item, error) {
	r := wire.NewReader(b)
	i := &item{number: r.Uint64(), kind: itemKind(r.Uint8())}
	copy(i.mid[:], r.Fixed(16))
	i.text, i.epoch, i.sealed, i.capsule, i.seq = string(r.Opaque(maxText)), r.Uint64(), r.Opaque(maxRecord), r.Opaque(maxRecord), r.Uint64()
	v := r.Vector(maxRecord)
	for v.More() {
		i.told = append(i.told, string(v.Opaque(maxText)))
	}
	r.Check(v.Done())
	return i, r.Done()
}

// A pending is an own commit whose fate is not known yet. The commit itself is
// with the group.
type pending struct {
	item uint64 // the item that it carries out
	mid  [16]byte
}

func (p *pending) encode() []byte {
	var w wire.Writer
	w.Uint64(p.item)
	w.Fixed(p.mid[:])
	return w.Bytes()
}

func parsePending(b []byte) (*pending, error) {
	r := wire.NewReader(b)
	p := &pending{item: r.Uint64()}
	copy(p.mid[:], r.Fixed(16))
	return p, r.Done()
}

// A received is an application message or a proposal that delivery handed over.
type received struct {
	seq     uint64
	epoch   uint64
	time    time.Time
	body    []byte
	capsule []byte // that it brought along, as delivery shows it; not stored
}

func (m *received) encode() []byte {
	var w wire.Writer
	w.Uint64(m.seq)
	w.Uint64(m.epoch)
	w.Uint64(uint64(m.time.UnixMilli()))
	w.Opaque(m.body)
	return w.Bytes()
}

func parseReceived(b []byte) (*received, error) {
	r := wire.NewReader(b)
	m := &received{seq: r.Uint64(), epoch: r.Uint64(), time: time.UnixMilli(int64(r.Uint64())), body: r.Opaque(maxRecord)}
	return m, r.Done()
}
