package docket

import (
	"bytes"
	"testing"

	"writ/warrant"
)

func FuzzParseRecord(f *testing.F) {
	r := &record{number: 7, lodged: 1_800_000_000, agency: "police", lodgement: []byte("lodgement"), approved: true,
		approvals: []warrant.Approval{{Office: "judicial", Approver: "judge", Kind: warrant.Ed25519, Signature: make([]byte, 64)}},
		published: logged{[]byte("entry"), 3}, requests: []logged{{[]byte("request"), 4}}}
	f.Add(r.encode())
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := parseRecord(b)
		if err == nil && !bytes.Equal(r.encode(), b) {
			t.Fatalf("%x encodes as %x", b, r.encode())
		}
		if err != nil && r != nil {
			t.Fatal("a value beside an error")
		}
	})
}
