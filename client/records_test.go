package client

import (
	"bytes"
	"testing"
	"time"

	"writ/charter"
	"writ/mls"
)

// parsers takes every stored form; each gives back what it encodes again.
var parsers = []func(b []byte) (encoded []byte, err error){
	func(b []byte) ([]byte, error) { s, err := parseState(b); return s.encode(), err },
	func(b []byte) ([]byte, error) { return again(parseEpoch(b)) },
	func(b []byte) ([]byte, error) { return again(parseCompartment(b)) },
	func(b []byte) ([]byte, error) { return again(parseItem(b)) },
	func(b []byte) ([]byte, error) { return again(parseItem(b)) }, // an invitation
	func(b []byte) ([]byte, error) { return again(parsePending(b)) },
	func(b []byte) ([]byte, error) { return again(parseReceived(b)) },
	func(b []byte) ([]byte, error) { return again(parseSelf(b)) },
	func(b []byte) ([]byte, error) {
		events, err := parseEvents(b, ConversationID{})
		return encodeEvents(events), err
	},
}

func again(v interface{ encode() []byte }, err error) ([]byte, error) {
	if err != nil {
		return nil, err
	}
	return v.encode(), nil
}

func stored(t testing.TB) [][]byte {
	key, err := mls.GenerateSignatureKey(Suite)
	if err != nil {
		t.Fatal(err)
	}
	at := time.UnixMilli(1_800_000_000_123)
	s := state{cursor: 7, synced: at, nextEvent: 8, nextItem: 9, seen: 3, gone: true}
	return [][]byte{
		s.encode(),
		(&epoch{opened: 5, roster: [32]byte{1}, members: map[mls.LeafIndex]member{0: {phone("anna"), charter.Hash{2}}, 3: {phone("ben"), charter.Hash{}}}}).encode(),
		(&compartment{want: make([]byte, 32), stored: true, next: 4}).encode(),
		(&item{number: 1, kind: itemText, mid: [16]byte{1}, text: "text", epoch: 2, sealed: []byte("sealed"), seq: 3}).encode(),
		(&item{number: 1, kind: itemInvite, text: "ben", told: []string{"tablet", "phone"}}).encode(),
		(&pending{item: 1, mid: [16]byte{2}}).encode(),
		(&received{seq: 1, epoch: 2, time: at, body: []byte("body")}).encode(),
		(&self{phone("anna"), charter.Hash{1}, key, true}).encode(),
		encodeEvents([]Event{{Number: 1, Kind: Message, Seq: 2, Epoch: 3, Time: at, Sender: phone("anna"), Text: "x"}, {Kind: Fault, Time: at, Reason: "y"}}),
	}
}

func TestStoredFormsRoundTrip(t *testing.T) {
	for i, b := range stored(t) {
		if got, err := parsers[i](b); err != nil || !bytes.Equal(got, b) {
			t.Errorf("%d: %x became %x, %v", i, b, got, err)
		}
		for n := range b {
			if _, err := parsers[i](b[:n]); err == nil {
				t.Errorf("%d: %d of %d bytes are taken", i, n, len(b))
			}
		}
		if _, err := parsers[i](append(b, 0)); err == nil {
			t.Errorf("%d: a byte more is taken", i)
		}
	}
	for _, n := range []uint64{0, 1, 1 << 63} {
		if got, err := numberOf(numbered(keyHeld, n), keyHeld); err != nil || got != n {
			t.Errorf("%d became %d, %v", n, got, err)
		}
	}
	p := place{1 << 40, 1 << 31}
	if got, err := parsePlace(p.key()); err != nil || got != p {
		t.Errorf("%v became %v, %v", p, got, err)
	}
}

// What parses encodes to the same bytes, except that an epoch's members are sorted.
func FuzzStoredForms(f *testing.F) {
	for i, b := range stored(f) {
		f.Add(uint8(i), b)
	}
	f.Fuzz(func(t *testing.T, i uint8, b []byte) {
		parse := parsers[int(i)%len(parsers)]
		got, err := parse(b)
		if err != nil {
			return
		}
		if twice, err := parse(got); err != nil || !bytes.Equal(twice, got) {
			t.Fatalf("%x became %x, %v", got, twice, err)
		}
	})
}
