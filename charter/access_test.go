package charter_test

import (
	"bytes"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"pgregory.net/rapid"

	"writ/charter"
	"writ/charter/chartertest"
)

func TestAccess(t *testing.T) {
	w := chartertest.New("access")
	a := w.Access()
	var names []string
	for i, l := range a.Leaves() {
		names = append(names, fmt.Sprint(l.Custodian, l.Path))
		if want := w.Key(l.Custodian, a.Period()).PublicKey().Bytes(); !bytes.Equal(l.PublicKey, want) {
			t.Errorf("%s: another key", l.Custodian)
		}
		if a.Leaf(l.Custodian) != &a.Leaves()[i] {
			t.Errorf("%s: not found by name", l.Custodian)
		}
	}
	want := "[judicial-1[0 0] judicial-2[0 1] judicial-3[0 2] oversight-1[1 0] oversight-2[1 1]" +
		" publication-1[2 0] publication-2[2 1] publication-3[2 2]]"
	if fmt.Sprint(names) != want {
		t.Errorf("leaves %v, want %v", names, want)
	}
	if a.Charter() != w.Charter.Hash() || a.Leaf("nobody") != nil {
		t.Error("charter or stranger")
	}
	next, err := w.Charter.Access(a.Period()+1, nil)
	if err != nil || bytes.Equal(next.Encode(), a.Encode()) {
		t.Errorf("next period: %v, or the same encoding", err)
	}
	if a, err := none().Access(0, nil); err == nil || a != nil {
		t.Error("access where there is none")
	}
	unchecked := clone(t, w.Charter)
	unchecked.Offices[0].Custodians[0].Mail = nil
	if a, err := unchecked.Access(a.Period(), nil); err == nil || a != nil {
		t.Error("access by a charter that is not valid")
	}
}

// The format of the structure to which capsules are bound, byte by byte.
func TestAccessEncoding(t *testing.T) {
	office := func(id string) chartertest.Shape {
		return chartertest.Shape{Office: id, Need: 1, Custodians: 1, Approve: 1, Approvers: 1}
	}
	a := chartertest.New("bytes", office("a"), office("b")).Access()
	leaf := func(i int) []byte { return slices.Concat([]byte{2, 0x64, 0x7a, 0x44, 0xc0}, a.Leaves()[i].PublicKey) }
	gate := func(i int) []byte { return slices.Concat([]byte{1, 1, 0x44, 0xc5}, leaf(i)) }
	want := slices.Concat([]byte{1, 2, 0x49, 0x92}, gate(0), gate(1))
	if !bytes.Equal(a.Encode(), want) {
		t.Errorf("got\n%x\nwant\n%x", a.Encode(), want)
	}
}

// The first sound statement of a custodian and period counts; whatever else
// stands on the ledger changes nothing.
func TestStatementsOfTheLedger(t *testing.T) {
	w := chartertest.New("ledger")
	c := w.Charter
	period := c.Period(chartertest.Now) + 2
	if _, err := c.Access(period, nil); err == nil || !strings.Contains(err.Error(), "no key of custodian judicial-1") {
		t.Fatalf("period without keys: %v", err)
	}
	var good []*charter.KeyStatement
	for _, o := range c.Offices {
		for _, cu := range o.Custodians {
			good = append(good, w.Statement(o.ID, cu.ID, period))
		}
	}
	want, err := c.Access(period, good)
	if err != nil {
		t.Fatal(err)
	}
	signed := func(custodian string, change func(*charter.KeyStatement)) *charter.KeyStatement {
		k := w.Statement("judicial", custodian, period)
		change(k)
		k.Sign(w.Custodians[custodian])
		return k
	}
	unsigned := w.Statement("judicial", "judicial-1", period)
	unsigned.PublicKey = chartertest.New("thief").Key("judicial-1", period).PublicKey().Bytes()
	reused := signed("judicial-1", func(k *charter.KeyStatement) { k.PublicKey = c.Keys[0].PublicKey })
	mixed := signed("judicial-1", func(k *charter.KeyStatement) {
		k.PublicKey = slices.Concat(k.PublicKey[:1184], c.Keys[0].PublicKey[1184:])
	})
	short := signed("judicial-1", func(k *charter.KeyStatement) { k.PublicKey = k.PublicKey[1:] })
	copied := signed("judicial-2", func(k *charter.KeyStatement) { k.PublicKey = good[0].PublicKey })
	second := signed("judicial-1", func(k *charter.KeyStatement) { k.PublicKey = w.Key("judicial-1", 9).PublicKey().Bytes() })
	for name, list := range map[string][]*charter.KeyStatement{
		"not signed before":      slices.Concat([]*charter.KeyStatement{unsigned}, good),
		"earlier period's key":   slices.Concat([]*charter.KeyStatement{reused}, good),
		"half of an earlier key": slices.Concat([]*charter.KeyStatement{mixed}, good),
		"short before":           slices.Concat([]*charter.KeyStatement{short}, good),
		"copied after":           slices.Concat(good[:1], []*charter.KeyStatement{copied}, good[1:]),
		"second key after":       slices.Concat(good, []*charter.KeyStatement{second}),
		"all twice":              slices.Concat(good, good),
		"with the charter's":     slices.Concat(c.Keys, good),
	} {
		got, err := c.Access(period, list)
		if err != nil || !bytes.Equal(got.Encode(), want.Encode()) {
			t.Errorf("%s: %v, or another key", name, err)
		}
	}
	for i, k := range good {
		missing := slices.Concat(good[:i], good[i+1:])
		if a, err := c.Access(period, missing); err == nil || a != nil || !strings.Contains(err.Error(), k.Custodian) {
			t.Errorf("without %s: %v", k.Custodian, err)
		}
	}
}

func TestPeriods(t *testing.T) {
	c := chartertest.New("periods").Charter
	c.Limits.KeyPeriod, c.Limits.Horizon = 100, 1000
	for unix, want := range map[int64]uint32{-5: 0, 0: 0, 99: 0, 100: 1, 250: 2} {
		if got := c.Period(time.Unix(unix, 0)); got != want {
			t.Errorf("period at %d is %d, want %d", unix, got, want)
		}
	}
	if c.PeriodEnd(2) != 300 || c.DestroyBy(2) != 1300 || none().Period(chartertest.Now) != 0 {
		t.Error("end, destruction or no period")
	}
}

// R1: of all 256 sets of custodians of the default charter, those open that
// have two judges, an overseer and two publishers.
func TestAllSubsets(t *testing.T) {
	a := chartertest.New("subsets").Access()
	opens := 0
	for set := range 1 << len(a.Leaves()) {
		have, offices := map[string]bool{}, map[string]int{}
		for i, l := range a.Leaves() {
			if set>>i&1 == 1 {
				have[l.Custodian] = true
				offices[l.Office]++
			}
		}
		want := offices["judicial"] >= 2 && offices["oversight"] >= 1 && offices["publication"] >= 2
		if a.Satisfied(have) != want {
			t.Errorf("%v opens: %v", have, !want)
		}
		if want {
			opens++
		}
	}
	if opens != 4*3*4 {
		t.Errorf("%d sets open", opens)
	}
}

// drawStructure draws a tree over some of the custodians, in any order.
func drawStructure(t *rapid.T, leaves []*charter.Node, depth int) *charter.Node {
	if len(leaves) == 1 && rapid.Bool().Draw(t, "leaf") {
		return leaves[0]
	}
	n := &charter.Node{}
	for rest := leaves; len(rest) > 0; {
		take := 1
		if depth > 1 {
			take = rapid.IntRange(1, len(rest)).Draw(t, "take")
		}
		child := rest[0]
		if depth > 1 {
			child = drawStructure(t, rest[:take], depth-1)
		}
		n.Children, rest = append(n.Children, child), rest[take:]
	}
	n.Threshold = uint8(rapid.IntRange(1, len(n.Children)).Draw(t, "threshold"))
	return n
}

// R11: a structure is valid exactly if no set of custodians of one office
// opens, tried over all sets.
func TestQuorumDiversity(t *testing.T) {
	w := chartertest.New("diversity")
	var all []*charter.Node
	for _, gate := range w.Charter.Structure.Children {
		all = append(all, gate.Children...)
	}
	valid := 0
	rapid.Check(t, func(t *rapid.T) {
		leaves := rapid.Permutation(all).Draw(t, "order")[:rapid.IntRange(2, len(all)).Draw(t, "custodians")]
		c := *w.Charter
		c.Structure = drawStructure(t, leaves, 3)
		alone := loneOffices(c.Structure, leaves)
		err := c.Validate()
		if (err == nil) != (len(alone) == 0) {
			t.Fatalf("offices that open alone: %v; validate: %v", alone, err)
		}
		if err != nil {
			return
		}
		valid++
		a, err := c.Access(c.Period(chartertest.Now), nil)
		if err != nil {
			t.Fatal(err)
		}
		for set := range 1 << len(leaves) {
			have, offices := map[string]bool{}, map[string]bool{}
			for i, l := range leaves {
				if set>>i&1 == 1 {
					have[l.Custodian], offices[l.Office] = true, true
				}
			}
			if a.Satisfied(have) && len(offices) < 2 {
				t.Fatalf("%v opens with %v", have, offices)
			}
		}
	})
	if valid == 0 {
		t.Error("no valid structure was drawn")
	}
}

// loneOffices returns the offices of which some set of custodians opens, found
// by trying all sets on a straightforward evaluation.
func loneOffices(root *charter.Node, leaves []*charter.Node) (alone []string) {
	var opens func(n *charter.Node, have map[string]bool) bool
	opens = func(n *charter.Node, have map[string]bool) bool {
		if len(n.Children) == 0 {
			return have[n.Custodian]
		}
		open := uint8(0)
		for _, c := range n.Children {
			if opens(c, have) {
				open++
			}
		}
		return open >= n.Threshold
	}
	for set := range 1 << len(leaves) {
		have, offices := map[string]bool{}, map[string]bool{}
		for i, l := range leaves {
			if set>>i&1 == 1 {
				have[l.Custodian], offices[l.Office] = true, true
			}
		}
		if len(offices) == 1 && opens(root, have) {
			for o := range offices {
				alone = append(alone, o)
			}
		}
	}
	return alone
}

// With an all-gate over the offices, every set that lacks one of them fails.
func TestSetsLackingAnOffice(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		var shapes []chartertest.Shape
		for i := range rapid.IntRange(2, 4).Draw(t, "offices") {
			n := rapid.IntRange(1, 3).Draw(t, "custodians")
			shapes = append(shapes, chartertest.Shape{Office: fmt.Sprintf("o%d", i), Custodians: n,
				Need: rapid.IntRange(1, n).Draw(t, "need"), Approve: 1, Approvers: 1})
		}
		a := chartertest.New("lacking", shapes...).Access()
		lacking := fmt.Sprintf("o%d", rapid.IntRange(0, len(shapes)-1).Draw(t, "lacking"))
		have := map[string]bool{}
		for _, l := range a.Leaves() {
			have[l.Custodian] = true
		}
		if !a.Satisfied(have) {
			t.Fatal("all together don't open")
		}
		for _, l := range a.Leaves() {
			have[l.Custodian] = l.Office != lacking
		}
		if a.Satisfied(have) {
			t.Fatalf("opens without %s", lacking)
		}
	})
}
