package ledger

import (
	"encoding/binary"

	"writ/internal/wire"
)

// The keys of rows. What is of one size stands as it is, a name is a vector.

func noKey(none) []byte                 { return nil }
func nameKey(name string) []byte        { return []byte(name) }
func hashKey(h EntryHash) []byte        { return h[:] }
func commitmentKey(c [32]byte) []byte   { return c[:] }
func indexKey(index uint64) []byte      { return binary.BigEndian.AppendUint64(nil, index) }
func indexOf(key []byte) (index uint64) { return binary.BigEndian.Uint64(key) }

func keyPeriodKey(k keyPeriod) []byte {
	var w wire.Writer
	w.String(k.charter)
	w.Uint32(k.period)
	return w.Bytes()
}

func rawKeyKey(k rawKey) []byte {
	var w wire.Writer
	w.String(k.charter)
	w.Fixed(k.hash[:])
	return w.Bytes()
}

func custodianPeriodKey(k custodianPeriod) []byte {
	var w wire.Writer
	w.String(k.charter)
	w.String(k.office)
	w.String(k.custodian)
	w.Uint32(k.period)
	return w.Bytes()
}

func custodianPeriodOf(key []byte) custodianPeriod {
	r := wire.NewReader(key)
	k := custodianPeriod{r.String(MaxEntry), r.Name(), r.Name(), r.Uint32()}
	return must(k, r.Done())
}

func answerKey(a answer) []byte {
	var w wire.Writer
	w.Fixed(a.request[:])
	w.String(a.office)
	w.String(a.custodian)
	return w.Bytes()
}

func askedKey(a asked) []byte {
	var w wire.Writer
	w.String(a.law)
	w.Fixed(a.request[:])
	return w.Bytes()
}

func refusalKey(x refusal) []byte {
	var w wire.Writer
	w.String(x.law)
	w.Fixed(answerKey(answer{x.request, x.office, x.custodian}))
	return w.Bytes()
}

func answerOf(key []byte) answer {
	r := wire.NewReader(key)
	a := answer{r.Array32(), r.Name(), r.Name()}
	return must(a, r.Done())
}

func writeTally(w *wire.Writer, k tallyKey) {
	w.String(k.charter)
	for _, is := range []bool{k.test, k.hold} {
		if is {
			w.Uint8(1)
		} else {
			w.Uint8(0)
		}
	}
}

func tallyCode(k tallyKey) []byte {
	var w wire.Writer
	writeTally(&w, k)
	return w.Bytes()
}

func tallyPeriodKey(k tallyPeriod) []byte {
	var w wire.Writer
	writeTally(&w, k.of)
	w.Uint64(k.length)
	w.Uint64(k.number)
	return w.Bytes()
}
