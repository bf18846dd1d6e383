package main

import (
	"bytes"
	"strings"
	"testing"

	"writ/charter"
	"writ/charter/chartertest"
	"writ/client"
	"writ/setup"
)

// Where two versions of a law are spoken under, the newest is printed whole, and of the
// other what it changed.
func TestPrintLawsOfTwoVersions(t *testing.T) {
	first := chartertest.New("print").Charter
	second := *first
	second.Number, second.Previous = 2, first.Hash()
	second.Limits.CapSubjects++
	laws := map[charter.Hash]*charter.Charter{first.Hash(): first, second.Hash(): &second}
	find := func(h charter.Hash) (*charter.Charter, bool) { c, ok := laws[h]; return c, ok }
	of := func(account string, c *charter.Charter) client.AccountLaw {
		return client.AccountLaw{Account: account, Charter: c.Hash(), Known: true, Explain: c.Explain()}
	}
	print := func(list ...client.AccountLaw) string {
		var b bytes.Buffer
		printLaws(&b, list, find)
		return b.String()
	}
	whole := strings.Count(print(of("anna", first), of("ben", first)), "\n")
	text := print(of("anna", first), of("ben", &second), of("chloe", first))
	if n := strings.Count(text, "\n"); n != whole+3 {
		t.Errorf("%d lines, one law has %d", n, whole)
	}
	for _, say := range []string{"Said by anna, chloe: ", "Said by ben: ", "It is version 1 of " + first.Name + ". Version 2, which is printed whole here, changed:",
		"The cap of subjects is 11 warrants. Before: 10 warrants."} {
		if !strings.Contains(text, say) {
			t.Errorf("no %q in\n%s", say, text)
		}
	}
}

// CHR-45: who is told no law trusts none: any that the notary put on the log would do.
func TestDeploymentNamesALaw(t *testing.T) {
	law := chartertest.New("trust")
	law.Charter.Policy = chartertest.Directory().Policy
	d := &setup.Deployment{Policy: law.Charter.Policy, Charters: []string{law.Charter.Hash().String()}}
	if got, err := trustOf(d); err != nil || len(got.firsts) != 1 {
		t.Fatalf("%v", err)
	}
	d.Charters = nil
	if _, err := trustOf(d); codeOf(err) != codeFailed || !strings.Contains(err.Error(), "names no charter") {
		t.Errorf("no law: %v", err)
	}
}
