//go:build unix

package client

import (
	"errors"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// A disk is the few steps on a file system that Files is made of. Paths are
// relative and have at most one slash.
type disk interface {
	mkdir(name string) error // there and synced afterwards
	list(dir string) ([]string, error)
	read(path string) ([]byte, error)
	// put makes b the file's whole content and syncs the file, not its name.
	put(path string, b []byte) error
	// erase overwrites the file with zeros, syncs it and removes its name. A file
	// that is not there is no error.
	erase(path string) error
	syncDir(dir string) error
}

// osDisk is the file system under a folder.
type osDisk struct{ root string }

func (d osDisk) path(p string) string { return filepath.Join(d.root, filepath.FromSlash(p)) }

func (d osDisk) mkdir(name string) error {
	err := os.Mkdir(d.path(name), 0o700)
	if errors.Is(err, fs.ErrExist) {
		return nil
	}
	if err != nil {
		return err
	}
	return d.syncDir(".")
}

func (d osDisk) list(dir string) ([]string, error) {
	entries, err := os.ReadDir(d.path(dir))
	if err != nil {
		return nil, err
	}
	var names []string
	for _, e := range entries {
		names = append(names, e.Name())
	}
	return names, nil
}

func (d osDisk) read(path string) ([]byte, error) { return os.ReadFile(d.path(path)) }

func (d osDisk) put(path string, b []byte) error {
	file, err := os.OpenFile(d.path(path), os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return err
	}
	return errors.Join(overwrite(file, b), file.Close())
}

// overwrite writes b over the old content, zeros over what was longer, syncs,
// and only then cuts the file, so that nothing old is left in freed blocks.
func overwrite(file *os.File, b []byte) error {
	info, err := file.Stat()
	if err != nil {
		return err
	}
	whole := b
	if extra := info.Size() - int64(len(b)); extra > 0 {
		whole = append(b[:len(b):len(b)], make([]byte, extra)...)
	}
	if _, err := file.WriteAt(whole, 0); err != nil {
		return err
	}
	if err := file.Sync(); err != nil {
		return err
	}
	if len(whole) == len(b) {
		return nil
	}
	if err := file.Truncate(int64(len(b))); err != nil {
		return err
	}
	return file.Sync()
}

func (d osDisk) erase(path string) error {
	file, err := os.OpenFile(d.path(path), os.O_RDWR, 0o600)
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	if err != nil {
		return err
	}
	if err := errors.Join(overwrite(file, nil), file.Close()); err != nil {
		return err
	}
	return os.Remove(d.path(path))
}

func (d osDisk) syncDir(dir string) error {
	f, err := os.Open(d.path(dir))
	if err != nil {
		return err
	}
	return errors.Join(f.Sync(), f.Close())
}

// recordName writes a key as a file name: letters, digits, and - . _ @ stay, so that an
// account's name is no longer there, and every other byte becomes % and two hexadecimal
// digits.
func recordName(key string) string {
	var b strings.Builder
	b.WriteString(recordPrefix)
	for _, c := range []byte(key) {
		switch {
		case 'a' <= c && c <= 'z', 'A' <= c && c <= 'Z', '0' <= c && c <= '9', strings.IndexByte("-._@", c) >= 0:
			b.WriteByte(c)
		default:
			b.WriteByte('%')
			b.WriteString(strconv.FormatUint(uint64(c)|0x100, 16)[1:])
		}
	}
	return b.String()
}

// recordKey undoes recordName. Only what recordName writes is accepted.
func recordKey(name string) (string, bool) {
	var key []byte
	for s := strings.TrimPrefix(name, recordPrefix); s != ""; {
		if s[0] != '%' {
			key, s = append(key, s[0]), s[1:]
			continue
		}
		if len(s) < 3 {
			return "", false
		}
		c, err := strconv.ParseUint(s[1:3], 16, 8)
		if err != nil {
			return "", false
		}
		key, s = append(key, byte(c)), s[3:]
	}
	return string(key), recordName(string(key)) == name
}
