package main

import (
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"writ/audit"
)

// A line of the journal that was cut off, by a crash or a full disk, is no line, and takes
// nothing of those before and after it.
func TestJournalLineCutOff(t *testing.T) {
	k, path, now := newKeyLog(t), filepath.Join(t.TempDir(), journalFile), time.Now()
	j, err := openJournal(path)
	k.w.Must(err)
	for size := range uint64(3) {
		k.leaves(1)
		c, err := k.w.Policy.Checkpoint(k.log.Checkpoint(now, "a", "b"), now, 0)
		k.w.Must(err)
		k.w.Must(j.keep(audit.Mark{Size: size + 1, Time: c.Time()}, c))
		f, err := os.OpenFile(path, os.O_APPEND|os.O_WRONLY, 0)
		k.w.Must(err)
		_, err = f.WriteString(`{"size":9,"ti`)
		k.w.Must(err)
		if size == 0 { // written whole, and not known to be on the disk
			_, err = f.WriteString(strings.Repeat("x", 5_000) + "\n")
			k.w.Must(err)
		}
		k.w.Must(f.Close())
		if size == 1 {
			if j, err = openJournal(path); err != nil || len(j.marks) != 2 {
				t.Fatalf("opened again: %v", err)
			}
		}
	}
	again, err := openJournal(path)
	k.w.Must(err)
	if len(again.marks) != 3 || string(again.last()) != string(j.last()) || again.marks[2].Size != 3 {
		t.Errorf("it holds %+v", again.marks)
	}
}
