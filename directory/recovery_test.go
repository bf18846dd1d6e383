package directory

import (
	"strings"
	"testing"
)

func TestRecoveryCode(t *testing.T) {
	code := NewRecoveryCode()
	key, err := ParseRecoveryCode(code)
	if err != nil {
		t.Fatal(err)
	}
	if len(code) != 39 || NewRecoveryCode() == code {
		t.Errorf("code %q", code)
	}
	for _, same := range []string{strings.ToLower(code), " " + strings.ReplaceAll(code, "-", " ") + "\n"} {
		if again, err := ParseRecoveryCode(same); err != nil || again.Public() != key.Public() {
			t.Errorf("%q: %v", same, err)
		}
	}
	for i := range code {
		for _, letter := range "AB7" {
			changed := code[:i] + string(letter) + code[i+1:]
			if _, err := ParseRecoveryCode(changed); err == nil && changed != code {
				t.Errorf("%q is taken for %q", changed, code)
			}
		}
	}
}
