package main

import (
	"bytes"
	"fmt"
	"os"
	"regexp"
	"strings"
)

// A defence is code that stands in an adversary's way, or does other work that a test is
// about: the test, what it is in words, and the change that takes it out. A test of
// another package than test/adversary has its path before it: "cmd/writ.TestX".
type defence struct {
	test  string
	words string
	hunks []hunk
}

// suite is the package whose tests say "breach".
const suite = "test/adversary"

// at returns the package of the test and its name.
func (d *defence) at() (pkg, test string) {
	if i := strings.LastIndex(d.test, "."); i >= 0 {
		return d.test[:i], d.test[i+1:]
	}
	return suite, d.test
}

// A hunk replaces a text that stands once in a file.
type hunk struct {
	file, old, new string
}

// read parses the list: blocks with an empty line between. A block has the test's
// name, the words, and then for each change the file's path and the lines taken out
// (-) and put in (+), as they stand there. Lines that begin with # are for readers.
func read(path string) (list []defence, err error) {
	b, err := os.ReadFile(path)
	if err != nil {
		return nil, err
	}
	for n, block := range strings.Split(string(b), "\n\n") {
		d, err := parse(block)
		if err != nil {
			return nil, fmt.Errorf("%s: block %d: %w", path, n+1, err)
		}
		if d != nil {
			list = append(list, *d)
		}
	}
	return list, nil
}

func parse(block string) (*defence, error) {
	var d defence
	for _, line := range strings.Split(block, "\n") {
		last := len(d.hunks) - 1
		switch {
		case line == "" || line[0] == '#':
		case d.test == "":
			d.test = line
		case d.words == "":
			d.words = line
		case line[0] != '-' && line[0] != '+':
			d.hunks = append(d.hunks, hunk{file: line})
		case last < 0:
			return nil, fmt.Errorf("no file before %q", line)
		case line[0] == '-':
			d.hunks[last].old += line[1:] + "\n"
		default:
			d.hunks[last].new += line[1:] + "\n"
		}
	}
	if d.test == "" {
		return nil, nil
	}
	if len(d.hunks) == 0 {
		return nil, fmt.Errorf("%s takes nothing out", d.test)
	}
	return &d, nil
}

// changed returns each file as it is without the defence.
func (d *defence) changed() (map[string][]byte, error) {
	files := map[string][]byte{}
	for _, h := range d.hunks {
		b, ok := files[h.file]
		if !ok {
			var err error
			if b, err = os.ReadFile(h.file); err != nil {
				return nil, err
			}
		}
		if n := bytes.Count(b, []byte(h.old)); n != 1 || h.old == "" || h.old == h.new {
			return nil, fmt.Errorf("%s: the text of the defence %q stands %d times in %s", d.test, d.words, n, h.file)
		}
		files[h.file] = bytes.Replace(b, []byte(h.old), []byte(h.new), 1)
	}
	return files, nil
}

var breach = regexp.MustCompile(`(?m)^ +\S+_test\.go:\d+: (breach: .*)$`)

// without runs the test without the defence and returns how it fails.
func (d *defence) without() (how string, err error) {
	files, err := d.changed()
	if err != nil {
		return "", err
	}
	pkg, test := d.at()
	out, err := goTest("./"+pkg, test, files)
	found := breach.FindSubmatch(out)
	switch {
	case err == nil:
		return "", fmt.Errorf("the test passes without it")
	case bytes.Contains(out, []byte("[build failed]")):
		return "", fmt.Errorf("what is put in does not build\n%s", tail(out))
	case !bytes.Contains(out, []byte("--- FAIL: "+test)) || pkg == suite && found == nil:
		return "", fmt.Errorf("the test does not say breach: %v\n%s", err, tail(out))
	case found == nil:
		return firstFailure(out), nil
	}
	return short(found[1]), nil
}
