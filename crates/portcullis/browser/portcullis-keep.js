// Keeps what is written into <form data-portcullis-keep> when the session ends: for the same person, for a day.
// In sessionStorage: no other tab sees it, and it goes with the tab as the cookie goes with the browser.
const DRAFTS = 'portcullis-drafts', FORM = 'form[data-portcullis-keep]', DAY = 864e5;
const SECRET = '[type=password],[type=file],[type=hidden],[data-portcullis-skip],'
	+ '[autocomplete*=password i],[autocomplete*=cc- i],[autocomplete*=one-time-code i]';
let status; // nothing is stored before it says who the person is
const dirty = new Set(), restored = new WeakSet(), secret = new WeakSet();

const load = () => JSON.parse(sessionStorage[DRAFTS] ?? '{}');
const change = alter => {
	const drafts = load();
	alter(drafts);
	delete sessionStorage[DRAFTS];
	if (Object.keys(drafts).length) try { sessionStorage[DRAFTS] = JSON.stringify(drafts); } catch {} // full
};
const forget = () => {
	dirty.clear();
	delete sessionStorage[DRAFTS];
};
const keyOf = form => `${location.pathname}${location.search} ${form.id || [...document.forms].indexOf(form)}`;

// A password shown as text stays one.
const fields = form => [...form.querySelectorAll('input,textarea,option')].filter(field => {
	if (field.closest(SECRET)) secret.add(field);
	return !secret.has(field);
});
const held = field => 'selected' in field ? 'selected' : /^(checkbox|radio)$/.test(field.type) ? 'checked' : 'value';
const nameOf = field => field.name ?? field.value;

const keep = (form, sent) => {
	if (!status?.person) return;
	const { person, now: at, absolute_deadline: session } = status;
	const values = fields(form).map(field => [nameOf(field), field[held(field)]]);
	change(drafts => { drafts[keyOf(form)] = { person, at, session, sent, values }; });
};
const keepAll = () => {
	for (const form of dirty) keep(form);
	if (status?.person) dirty.clear();
};

const fill = (form, values) => fields(form).forEach((field, i) => {
	const [name, value] = values[i] ?? [];
	if (name !== nameOf(field)) return;
	field[held(field)] = value;
	field.dispatchEvent(new Event('input', { bubbles: true }));
});
const tell = (form, texts) => {
	const note = document.createElement('p'), discard = document.createElement('button');
	note.role = 'status';
	note.className = 'portcullis-restored';
	discard.type = 'button';
	discard.textContent = texts?.discard ?? 'Discard it';
	discard.onclick = () => {
		form.reset();
		dirty.delete(form);
		change(drafts => delete drafts[keyOf(form)]);
		note.remove();
		fields(form)[0]?.focus();
	};
	form.prepend(note);
	// Live regions are announced when they change.
	setTimeout(() => note.append(texts?.restored ?? 'What you had written is back.', ' ', discard), 100);
};

addEventListener('portcullis-status', ({ target, detail }) => {
	status = detail;
	const { person, now, absolute_deadline: session } = status;
	if (!person) return;
	// The absolute deadline tells sessions apart. What was sent in one that is still live has arrived.
	change(drafts => {
		for (const [key, draft] of Object.entries(drafts))
			if (draft.person !== person || now - draft.at > DAY || draft.sent && draft.session === session) delete drafts[key];
	});
	const drafts = load();
	for (const form of document.querySelectorAll(FORM)) {
		const draft = drafts[keyOf(form)];
		fields(form);
		if (!restored.has(form) && draft && draft.session !== session) {
			fill(form, draft.values);
			tell(form, target.texts);
		}
		restored.add(form);
	}
});
addEventListener('portcullis-ended', ({ detail: { reason } }) => {
	keepAll();
	if (reason === 'signed_out') forget();
	status = null;
});
addEventListener('input', ({ target: { form } }) => form?.matches(FORM) && dirty.add(form));
addEventListener('submit', ({ target: form }) => {
	dirty.delete(form);
	if (form.matches(FORM)) keep(form, true);
	if (form.getAttribute('action')?.endsWith('/sign-out')) forget();
}, true);
addEventListener('pagehide', keepAll);
setInterval(keepAll, 1000);
document.querySelector('portcullis-timeout')?.check();
