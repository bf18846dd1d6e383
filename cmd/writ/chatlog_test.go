package main

import (
	"strings"
	"testing"
)

// Whoever gives an own chat finds its people again: by their names, as far as an account
// can have them, and told where it can't.
func TestChatNames(t *testing.T) {
	c, err := readChat(strings.NewReader("Anna: a\nÄnne Müller: b\n李明: c\nАнна: d\nanne muller: e\n"))
	if err != nil {
		t.Fatal(err)
	}
	if got := strings.Join(c.accounts, " "); got != "anna anne-muller person person2 anne-muller2" {
		t.Errorf("accounts %s", got)
	}
	if got := c.renamed(); got != "Änne Müller is anne-muller, 李明 is person, Анна is person2, anne muller is anne-muller2" {
		t.Errorf("told %s", got)
	}
}
