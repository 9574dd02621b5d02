package store

import (
	"errors"
	"strings"
	"time"
)

// Role is what a person is to the collector; package account says what each may.
type Role string

// The roles.
const (
	RolePlatform   Role = "plataforma"
	RoleReseller   Role = "revenda"
	RoleTechnician Role = "tecnico"
	RoleTaxpayer   Role = "contribuinte"
	RoleAccountant Role = "contador"
)

// User is a person who may sign in.
type User struct {
	ID        int64
	Email     string // lower case
	Name      string
	CreatedAt time.Time
	Role      Role
	Reseller  int64  // that looks after the person; 0 is the platform
	Password  string // argon2id in PHC form; "" while the person has none
	TOTP      string // secret of the one-time codes, sealed by package account; "" with Password ""
	Step      int64  // of the last code taken
	Failed    int    // sign-ins in a row that failed
	Locked    time.Time
}

const userColumns = `u.id, u.email, u.name, u.created_at, u.role, u.reseller_id, u.password, u.totp, u.totp_step, u.failed, u.locked_until`

func scanUser(s scanner, u *User) error {
	return s.Scan(&u.ID, &u.Email, &u.Name, at(&u.CreatedAt), &u.Role, &u.Reseller, &u.Password, &u.TOTP, &u.Step, &u.Failed, at(&u.Locked))
}

// AddUser stores a new person, of the platform's own; the address must not be
// there yet.
func (w *Writer) AddUser(email, name string, now time.Time) (User, error) {
	return w.AddPerson(User{Email: email, Name: name, Role: RolePlatform, CreatedAt: now})
}

// AddPerson stores a new person with a role; the address must not be there yet.
func (w *Writer) AddPerson(u User) (User, error) {
	u.Email = strings.ToLower(strings.TrimSpace(u.Email))
	err := w.get(into{&u.ID}, `INSERT INTO users (email, name, created_at, role, reseller_id) VALUES ($1, $2, $3, $4, $5) RETURNING id`,
		u.Email, u.Name, ms(u.CreatedAt), u.Role, u.Reseller)
	return u, err
}

// people is the condition for the persons, as u, that a reader sees: everybody, or
// those of its reseller, itself, and those who see a taxpayer that it sees. Who is
// narrowed to a taxpayer sees those who were granted that.
func (r *Reader) people(args *arguments) string {
	switch {
	case r.scope.root != "" && r.scope.kind != scopePerson:
		return r.granted(args)
	case r.scope.kind == scopeAll:
		return "1 = 1"
	case r.scope.kind == scopeReseller:
		return "(" + r.ofReseller("u.reseller_id", args) + " OR " + r.granted(args) + ")"
	case r.scope.kind == scopePerson:
		return "(u.id = " + args.add(r.scope.id) + " OR " + r.granted(args) + ")"
	}
	return "1 = 0"
}

func (r *Reader) granted(args *arguments) string {
	return `u.id IN (SELECT h.user_id FROM grants h JOIN taxpayers t ON t.root = h.root WHERE h.taken_at = 0 AND ` + r.scope.taxpayers(args) + ")"
}

// UserByEmail finds a person that the reader sees, whatever the case of the letters.
func (r *Reader) UserByEmail(email string) (User, error) {
	args := arguments{strings.ToLower(strings.TrimSpace(email))}
	return one(r, scanUser, `SELECT `+userColumns+` FROM users u WHERE email = $1 AND `+r.people(&args), args...)
}

// User returns one person.
func (r *Reader) User(id int64) (User, error) {
	args := arguments{id}
	return one(r, scanUser, `SELECT `+userColumns+` FROM users u WHERE id = $1 AND `+r.people(&args), args...)
}

// Users lists the people that the reader sees, by address.
func (r *Reader) Users() ([]User, error) {
	args := arguments{}
	return all(r, scanUser, `SELECT `+userColumns+` FROM users u WHERE `+r.people(&args)+` ORDER BY email`, args...)
}

// SetPassword stores a password's hash with the secret of the codes that go with
// it, and ends all locks.
func (w *Writer) SetPassword(user int64, password, totp string) error {
	return w.exec(`UPDATE users SET password = $2, totp = $3, totp_step = 0, failed = 0, locked_until = 0 WHERE id = $1`, user, password, totp)
}

// SealCodes replaces the secret of a person's one-time codes by the same, sealed.
func (w *Writer) SealCodes(user int64, totp string) error {
	return w.exec(`UPDATE users SET totp = $2 WHERE id = $1`, user, totp)
}

// TookCode notes that a person signed in with the code of a step, which is not
// taken again. ErrNotFound: it, or a later one, was.
func (w *Writer) TookCode(user, step int64) error {
	n, err := w.count(`UPDATE users SET totp_step = $2, failed = 0, locked_until = 0 WHERE id = $1 AND totp_step < $2`, user, step)
	if err == nil && n == 0 {
		err = ErrNotFound
	}
	return err
}

// Failed notes a sign-in that failed, and until when the next is not tried.
func (w *Writer) Failed(user int64, failed int, locked time.Time) error {
	return w.exec(`UPDATE users SET failed = $2, locked_until = $3 WHERE id = $1`, user, failed, ms(locked))
}

// Rehome gives a person to another reseller, 0 being the platform, and ends every
// way in that the one before could know, and every channel but the person's e-mail: the
// one before could sign in as them and set up its own.
func (w *Writer) Rehome(user, reseller int64) error {
	if err := w.exec(`UPDATE users SET reseller_id = $2 WHERE id = $1`, user, reseller); err != nil {
		return err
	}
	if err := w.dropChannels(`user_id = $1 AND kind <> $2`, user, ChannelEmail); err != nil {
		return err
	}
	return w.LockOut(user, time.UnixMilli(1))
}

// LockOut ends every way in of a person: password, links, sessions and tokens.
func (w *Writer) LockOut(user int64, now time.Time) error {
	if err := w.SetPassword(user, "", ""); err != nil {
		return err
	}
	for _, table := range []string{"links", "sessions"} {
		if err := w.exec(`DELETE FROM `+table+` WHERE user_id = $1`, user); err != nil {
			return err
		}
	}
	return w.exec(`UPDATE api_tokens SET revoked_at = $2 WHERE user_id = $1 AND revoked_at = 0`, user, ms(now))
}

// DropUser takes a person away, with all that waits to be told to them. What the audit
// says of them stays.
func (w *Writer) DropUser(user int64, by string, now time.Time) error {
	if err := errors.Join(w.LockOut(user, now), w.dropChannels(`user_id = $1`, user)); err != nil {
		return err
	}
	if err := w.exec(`UPDATE grants SET taken_at = $2, taken_by = $3 WHERE user_id = $1 AND taken_at = 0`, user, ms(now), by); err != nil {
		return err
	}
	return w.exec(`DELETE FROM users WHERE id = $1`, user)
}
