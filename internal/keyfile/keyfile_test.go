package keyfile

import (
	"bytes"
	"path/filepath"
	"testing"
)

// A work factor that scrypt does not have, or with which nobody would read the file again,
// writes nothing.
func TestWorkFactor(t *testing.T) {
	path := filepath.Join(t.TempDir(), "keys.age")
	for _, work := range []int{-1, maxWorkFactor + 1, 99} {
		if err := Write(path, []byte("x"), work, nil); err == nil {
			t.Errorf("written with work factor %d", work)
		}
	}
	if got, err := Read(path, []byte("x")); err == nil {
		t.Errorf("%d bytes are there", len(got))
	}
}

// What would not be read again takes nothing's place: the file that is there stays.
func TestWriteNoMoreThanRead(t *testing.T) {
	path, phrase := filepath.Join(t.TempDir(), "keys.age"), []byte("x")
	most := bytes.Repeat([]byte{7}, MaxSize)
	if err := Write(path, phrase, 2, most); err != nil {
		t.Fatal(err)
	}
	if err := Write(path, phrase, 2, append(most, 8)); err == nil {
		t.Error("written although it can't be read whole")
	}
	if got, err := Read(path, phrase); err != nil || !bytes.Equal(got, most) {
		t.Errorf("%d bytes, %v", len(got), err)
	}
	long, err := seal(phrase, 2, append(most, 8))
	if err != nil {
		t.Fatal(err)
	}
	if err := writeSynced(path, long); err != nil {
		t.Fatal(err)
	}
	if got, err := Read(path, phrase); err == nil {
		t.Errorf("%d bytes of a longer file are read", len(got))
	}
}
