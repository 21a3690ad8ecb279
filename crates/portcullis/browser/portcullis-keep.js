// Keeps the input of <form data-portcullis-keep> when the session ends: for the same user, for a
// day. It is in sessionStorage: no other tab sees it, and it ends with the tab, as the cookie ends
// with the browser.
const DRAFTS = 'portcullis-drafts', FORM = 'form[data-portcullis-keep]', DAY = 864e5;
const SECRET = '[type=password],[type=file],[type=hidden],[data-portcullis-skip],'
	+ '[autocomplete*=password i],[autocomplete*=cc- i],[autocomplete*=one-time-code i]';
// The latest status and its user. Nothing is stored before the user is known.
let status, user;
const dirty = new Set(), restored = new WeakSet(), secret = new WeakSet();

const refused = performance.getEntriesByType('navigation')[0]?.responseStatus >= 400;
const load = () => JSON.parse(sessionStorage[DRAFTS] ?? '{}');
const change = alter => {
	const drafts = load();
	alter(drafts);
	delete sessionStorage[DRAFTS];
	// The storage may be full.
	if (Object.keys(drafts).length) try { sessionStorage[DRAFTS] = JSON.stringify(drafts); } catch {}
};
const forget = () => {
	dirty.clear();
	delete sessionStorage[DRAFTS];
};
// A field's name hides the form's own member of that name, such as `id` or `reset`.
const of = (form, method, given) => HTMLFormElement.prototype[method].call(form, given);
const keyOf = form => {
	const id = of(form, 'getAttribute', 'id');
	return `${location.pathname}${location.search} ${id ? '#' + id : [...document.forms].indexOf(form)}`;
};

// A password stays secret when it is shown as text.
const fields = form => [...of(form, 'querySelectorAll', 'input,textarea,option')].filter(field => {
	if (field.closest(SECRET)) secret.add(field);
	return !secret.has(field);
});
const held = field => 'selected' in field ? 'selected' : /^(checkbox|radio)$/.test(field.type) ? 'checked' : 'value';
const nameOf = field => field.name ?? field.value;

const keep = (form, sent) => {
	if (!user) return;
	const { now: at, absolute_deadline: session } = status;
	const values = fields(form).map(field => [nameOf(field), field[held(field)]]);
	change(drafts => { drafts[keyOf(form)] = { user, at, session, sent, values }; });
};
const keepAll = () => {
	for (const form of dirty) keep(form);
	if (user) dirty.clear();
};

// Returns how many fields changed.
const fill = (form, values) => fields(form).filter((field, i) => {
	const [name, value] = values[i] ?? [];
	if (name !== nameOf(field) || field[held(field)] === value) return;
	field[held(field)] = value;
	return field.dispatchEvent(new Event('input', { bubbles: true }));
}).length;
const tell = (form, texts) => {
	const note = document.createElement('p'), discard = document.createElement('button');
	note.role = 'status';
	note.className = 'portcullis-restored';
	discard.type = 'button';
	discard.textContent = texts.discard ?? 'Discard it';
	discard.onclick = () => {
		of(form, 'reset');
		dirty.delete(form);
		change(drafts => delete drafts[keyOf(form)]);
		note.remove();
		fields(form)[0]?.focus();
	};
	of(form, 'prepend', note);
	// Live regions are announced when they change.
	setTimeout(() => note.append(texts.restored ?? 'What you had written is back.', ' ', discard), 100);
};

// With several elements, forms belong to the session of the first.
const first = document.querySelector('portcullis-timeout'), base = first?.getAttribute('base') ?? null;
const hear = (type, listener) => addEventListener('portcullis-' + type, ({ target, detail }) =>
	target.getAttribute('base') === base && listener(detail, target.texts));
hear('status', (answer, texts) => {
	const { now, absolute_deadline: session } = status = answer;
	user = answer.user_fingerprint;
	if (!user) return;
	// The absolute deadline identifies a session. What was sent in the live session has arrived,
	// unless this page is a refusal.
	change(drafts => {
		for (const key in drafts) {
			const draft = drafts[key];
			if (refused && draft.sent) draft.sent = draft.session = 0;
			if (draft.user !== user || now - draft.at > DAY || draft.sent && draft.session === session) delete drafts[key];
		}
	});
	const drafts = load();
	for (const form of document.querySelectorAll(FORM)) {
		const draft = drafts[keyOf(form)];
		fields(form);
		if (!restored.has(form) && draft && draft.session !== session && fill(form, draft.values)) tell(form, texts);
		restored.add(form);
	}
});
hear('ended', ({ reason }) => {
	keepAll();
	if (reason === 'signed_out') forget();
	status = user = null;
});
addEventListener('input', ({ target: { form } }) => form && of(form, 'matches', FORM) && dirty.add(form));
addEventListener('submit', ({ target: form }) => {
	dirty.delete(form);
	if (of(form, 'matches', FORM)) keep(form, true);
	if (of(form, 'getAttribute', 'action')?.endsWith('/sign-out')) forget();
}, true);
addEventListener('pagehide', keepAll);
setInterval(keepAll, 1000);
first?.check();
