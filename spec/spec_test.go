// Package spec holds the normative documents. Its tests hold them to the code:
// ids are given once, links lead somewhere, tests named as evidence exist,
// labels and reason codes are those in use.
package spec

import (
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"
)

// documents returns the project's documents, by path from the root.
func documents(t *testing.T) map[string]string {
	t.Helper()
	docs := map[string]string{}
	for _, dir := range []string{"../spec", "../doc", "../doc/decisions"} {
		files, err := filepath.Glob(dir + "/*.md")
		if err != nil || len(files) == 0 {
			t.Fatalf("no documents in %s: %v", dir, err)
		}
		for _, f := range files {
			docs[f] = read(t, f)
		}
	}
	return docs
}

func read(t *testing.T, path string) string {
	t.Helper()
	b, err := os.ReadFile(path)
	if err != nil {
		t.Fatal(err)
	}
	return string(b)
}

func TestIDsAreGivenOnce(t *testing.T) {
	id := regexp.MustCompile(`(?m)^(?:- \*\*|\| )([A-Z]{3}-\d+)(?:\*\*| \|)`)
	seen := map[string]string{}
	for path, text := range documents(t) {
		for _, m := range id.FindAllStringSubmatch(text, -1) {
			if other, ok := seen[m[1]]; ok {
				t.Errorf("%s is given in %s and %s", m[1], other, path)
			}
			seen[m[1]] = path
		}
	}
	if len(seen) < 100 {
		t.Errorf("only %d ids found", len(seen))
	}
	ref := regexp.MustCompile(`\b(?:ENC|CRD|CHR|CAP|WAR|LED|REL|BUN|DEL|AUD)-\d+`)
	for path, text := range documents(t) {
		for _, m := range ref.FindAllString(text, -1) {
			if seen[m] == "" {
				t.Errorf("%s speaks of %s, which is not given", path, m)
			}
		}
	}
}

func TestLinksLeadSomewhere(t *testing.T) {
	link := regexp.MustCompile(`\]\(([^)#]+)\)`)
	for path, text := range documents(t) {
		for _, m := range link.FindAllStringSubmatch(text, -1) {
			if strings.Contains(m[1], "://") {
				continue
			}
			if _, err := os.Stat(filepath.Join(filepath.Dir(path), m[1])); err != nil {
				t.Errorf("%s: %v", path, err)
			}
		}
	}
}

// TestEvidenceExists reads the table of requirements: | R1 | text | tests | state |.
func TestEvidenceExists(t *testing.T) {
	tests := testFunctions(t)
	row := regexp.MustCompile(`(?m)^\| (R\d+) \|([^|]*)\|([^|]*)\| ([^|]*) \|$`)
	named := regexp.MustCompile("`([a-z/]+)\\.((?:Test|Fuzz)\\w+)`")
	rows := row.FindAllStringSubmatch(read(t, "requirements.md"), -1)
	if len(rows) != 40 {
		t.Errorf("%d requirements, want 40", len(rows))
	}
	for _, r := range rows {
		evidence := named.FindAllStringSubmatch(r[3], -1)
		for _, e := range evidence {
			if !tests[e[1]+"."+e[2]] {
				t.Errorf("%s names %s.%s, which is not there", r[1], e[1], e[2])
			}
		}
		shown, later := strings.HasPrefix(r[4], "shown"), strings.Contains(r[4], "issue ")
		if !shown && !later || shown && len(evidence) == 0 {
			t.Errorf("%s: %q with %d tests", r[1], r[4], len(evidence))
		}
	}
}

func testFunctions(t *testing.T) map[string]bool {
	t.Helper()
	function := regexp.MustCompile(`(?m)^func ((?:Test|Fuzz)\w+)\(`)
	found := map[string]bool{}
	eachFile(t, "_test.go", func(room, text string) {
		for _, m := range function.FindAllStringSubmatch(text, -1) {
			found[room+"."+m[1]] = true
		}
	})
	return found
}

func TestLabelsAreListed(t *testing.T) {
	table := read(t, "encoding.md")
	use := regexp.MustCompile(`(?:wire\.Hash|wire\.SignContent|wire\.Label|\.Verify)\("([a-z][a-z ]*)"`)
	found := 0
	eachFile(t, ".go", func(room, text string) {
		for _, m := range use.FindAllStringSubmatch(text, -1) {
			found++
			if !strings.Contains(table, "`"+m[1]+"`") {
				t.Errorf("%s uses the label %q, which encoding.md does not list", room, m[1])
			}
		}
	})
	if found < 10 {
		t.Errorf("only %d uses of labels found", found)
	}
}

// eachFile calls f for every Go file with that ending; ".go" leaves out tests.
func eachFile(t *testing.T, ending string, f func(room, text string)) {
	t.Helper()
	err := filepath.WalkDir("..", func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		if d.IsDir() && path != ".." && (strings.HasPrefix(d.Name(), ".") || d.Name() == "testdata") {
			return filepath.SkipDir
		}
		if !strings.HasSuffix(path, ending) || ending == ".go" && strings.HasSuffix(path, "_test.go") {
			return nil
		}
		room, err := filepath.Rel("..", filepath.Dir(path))
		if room == "." {
			room = "writ"
		}
		if err == nil {
			f(filepath.ToSlash(room), read(t, path))
		}
		return err
	})
	if err != nil {
		t.Fatal(err)
	}
}

func TestReasonsAreListed(t *testing.T) {
	table := read(t, "release.md")
	code := regexp.MustCompile(`(?m)^\tReason(\w+) +Reason = (\d+)`)
	codes := code.FindAllStringSubmatch(read(t, "../unseal/reason.go"), -1)
	for _, m := range codes {
		if row := "| " + m[2] + " " + m[1] + " |"; !strings.Contains(table, row) {
			t.Errorf("release.md has no row that begins %q", row)
		}
	}
	if len(codes) == 0 {
		t.Error("no reason codes found")
	}
}
