package charter_test

import (
	"bytes"
	"reflect"
	"testing"

	"writ/charter"
	"writ/charter/chartertest"
)

func TestRoundTrip(t *testing.T) {
	c := chartertest.New("a").Charter
	if err := c.Validate(); err != nil {
		t.Fatal(err)
	}
	got, err := charter.Parse(c.Encode())
	if err != nil {
		t.Fatal(err)
	}
	if !reflect.DeepEqual(got, c) {
		t.Errorf("parsed\n%+v\nwant\n%+v", got, c)
	}
	if !bytes.Equal(got.Encode(), c.Encode()) || got.Hash() != c.Hash() {
		t.Error("encodes to other bytes")
	}
}
