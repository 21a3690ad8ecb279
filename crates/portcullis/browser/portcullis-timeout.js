// <portcullis-timeout> warns before the session ends, extends it, and then covers the page.
const TEXTS = {
	warning: 'Stay signed in?',
	soon: 'You will be signed out in {time}.',
	last: 'Save your work, then sign in again.',
	stay: 'Stay signed in',
	close: 'Close',
	leave: 'Sign out now',
	check: 'Checking your session',
	failed: 'This is not possible now.',
	over: 'You are signed out',
	again: 'Sign in again',
};
const style = new CSSStyleSheet(), veil = new CSSStyleSheet({ disabled: 1 });
document.adoptedStyleSheets.push(veil);
veil.replaceSync('body,body *{visibility:hidden!important}');
style.replaceSync(`:host{visibility:visible!important;pointer-events:auto!important}
dialog{background:var(--portcullis-background,Canvas);color:var(--portcullis-color,CanvasText)}
::backdrop{background:#0009}:not(.warning)::backdrop{background:Canvas}
.check{animation:a 0s .5s both}@keyframes a{0%{opacity:0}}
button,a{display:inline-block;margin:.3em;padding:.5em 1em;font:inherit;background:var(--portcullis-accent,CanvasText);color:var(--portcullis-accent-text,Canvas)}
.warning a,.check :is(button,a),.over button{display:none}#said{position:absolute;inset:0;clip-path:inset(50%)}`);

// An element never uncovers what another one has covered.
const covering = new Set;
const start = element => {
	const off = new AbortController;
	let { base = '/session', lead = 120, poll = 60, user, required = user, activity, 'sign-in': signIn = '/sign-in', 'return-to': returnTo = 'return_to', texts: own = '{}' } =
		Object.fromEntries([...element.attributes].map(({ name, value }) => [name, value]));
	if (!(lead >= 20)) console.warn('portcullis: lead raised to 20 s', lead = 20);
	const texts = { ...TEXTS, ...JSON.parse(own) };
	let known, latest, ends, wallEnds, view, sure, next = 0, pending, active, idle = 0, warnAt, point, wall, soon = 1 / 0, sent;
	const on = (target, type, listener) => target.addEventListener(type, listener, { signal: off.signal, capture: 1 });
	const emit = (name, detail) =>
		element.dispatchEvent(new CustomEvent('portcullis-' + name, { bubbles: 1, cancelable: 1, detail }));

	const root = element.shadowRoot ?? element.attachShadow({ mode: 'open' });
	const [box, title, message, said, stay, leave, again] =
		'dialog dialog alertdialog,h1 title,p message timer,p said status,button stay,button leave,a again'.split(',').map(part => {
			const [tag, id, role = null] = part.split(' ');
			return Object.assign(document.createElement(tag), { id, part: id, role, textContent: texts[id] });
		});
	root.adoptedStyleSheets = [style];
	root.replaceChildren(box);
	box.append(title, message, said, stay, leave, again);
	box.setAttribute('aria-describedby', 'message');
	const hide = () => {
		view = '';
		covering.delete(box);
		veil.disabled = !covering.size;
		box.close();
	};
	const show = (name, text) => {
		hide();
		view = box.className = name;
		if (name !== 'warning') veil.disabled = !covering.add(box);
		box.ariaLabel = title.textContent = texts[name];
		message.textContent = text;
		said.textContent = '';
		stay.textContent = known?.extends_to ? texts.stay : texts.close;
		box.showModal();
	};
	stay.onclick = () => box.close();
	leave.onclick = () => send('/sign-out');
	// Escape acts like the first button. A covered page stays covered.
	box.onclose = () => {
		if (box.open || !view) return;
		view !== 'warning' ? box.showModal() : known.extends_to && send('/extend');
	};

	// The time is the server's, continued with performance.now().
	const now = () => performance.now();
	const cover = () => {
		if (!known || view === 'check') return;
		sure = 0;
		show('check');
	};
	const words = rest => {
		const total = Math.max(1, rest / 1e3 | 0), minutes = total / 60 | 0, seconds = total % 60;
		const time = Intl.DurationFormat ? new Intl.DurationFormat(document.documentElement.lang.match(/^[a-z]{2,3}\b/i)?.[0], { style: 'long' }).format({ minutes, seconds }) : total + ' s';
		return (texts.soon + (known.extends_to ? '' : ' ' + texts.last)).replace(/{(\w+)}/g, (_, name) => ({ minutes, seconds, time })[name]);
	};
	const decide = () => {
		const rest = ends - now();
		if (rest > warnAt) return hide();
		const text = words(rest), passed = [20, 60, 120].find(seconds => rest <= seconds * 1e3);
		if (view === 'warning') {
			message.textContent = text;
			if (passed !== point) said.textContent = text;
		} else if (emit('warning', known)) show('warning', text);
		else view = 'warning';
		point = passed;
	};

	const live = ({ answer, age, path, answer: { user_fingerprint: id } }) => {
		// A visitor has no user, and another user is not the same one.
		if (user ? id !== user : !answer.authenticated || view === 'over') return over({});
		known = answer;
		user = id;
		sure = 1;
		const rest = answer.ends_at - answer.now - age;
		ends = now() + rest;
		wallEnds = Date.now() + rest;
		idle = Math.max(idle, answer.extends_to - answer.now);
		warnAt = 1e3 + (idle && idle <= lead * 1e3 ? Math.max(2e4, idle / 2) : lead * 1e3);
		const early = rest - warnAt - 2e3;
		next = now() + Math.min(poll * (900 + 100 * Math.random()) || 6e4, early > 0 ? early : rest, soon);
		soon *= 2;
		emit('status', answer);
		if (path === '/extend') {
			active = 0;
			hide();
			emit('extended', answer);
		}
		decide();
	};
	const over = ({ reason, detail }) => {
		next = Infinity;
		if (view === 'over' || !known && required == null) return;
		known = 0;
		again.href = `${signIn}?${returnTo}=${encodeURIComponent(location.pathname + location.search)}`;
		show('over', texts[reason] ?? detail);
		emit('ended', { reason });
	};

	const learn = news => {
		const { now, ends_at } = news.answer;
		// A later response has arrived.
		if (now < latest) return;
		latest = now;
		ends_at ? live(news) : over(news.answer);
	};
	on(window, 'storage', ({ key, newValue }) => {
		if (key === base && newValue) learn(JSON.parse(newValue));
		// A form may sign out, at once or after a while.
		if (key === base + '?') next = now() + (soon = 1e3);
	});
	// Notifies every element of this page and of all others.
	const tell = (key, newValue) => {
		dispatchEvent(new StorageEvent('storage', { key, newValue }));
		localStorage[key] = newValue;
		delete localStorage[key];
	};
	const call = async (path, method) => {
		const mine = pending = {}, began = now(), heard = latest;
		let reply, answer;
		try {
			reply = await fetch(base + path, { method, cache: 'no-store', signal: AbortSignal.timeout(1e4) });
			answer = await reply.json();
		} catch {}
		if (pending !== mine) return;
		pending = 0;
		if (answer?.now) {
			// Accepts the next response even if the server's clock was set back.
			if (latest === heard) latest = 0;
			return tell(base, JSON.stringify({ answer, age: now() - began, path }));
		}
		// In seconds, or as a date.
		const head = reply?.headers, after = head?.get('retry-after') ?? 0;
		const wait = isNaN(after) ? Date.parse(after) - Date.parse(head.get('date')) : after * 1e3;
		next = now() + Math.min(6e4, Math.max(1e3, wait || 5e3));
		if (method && view && !box.open) show('warning');
		if (method || view === 'check') message.textContent = said.textContent = texts.failed;
	};
	const send = path => call(path, 'POST');
	const ask = lock => pending || lock && (active && known?.extends_to ? send('/extend') : call('/status'));
	const tick = () => {
		if (Math.abs(wall - (wall = Date.now())) > 5e3) sure = next = pending = 0;
		if (now() >= ends || wall >= wallEnds) cover();
		if (document.hidden) return;
		if (now() >= next) navigator.locks?.request(base, { ifAvailable: 1 }, ask) ?? ask(1);
		if (known && sure) decide();
		// A modal dialog that the page opened later is above this one.
		// A moved dialog is no longer modal.
		const { x, y, width, height } = box.getBoundingClientRect();
		const hit = element.getRootNode().elementFromPoint(x + width / 2, y + height / 2);
		if (!box.open || box.matches(':modal') && hit?.localName == element.localName) return;
		box.close();
		box.showModal();
	};
	const check = () => {
		sure = next = 0;
		tick();
	};

	Object.assign(element, { texts, check, extend: () => send('/extend') });
	on(document, 'portcullis-check', check);
	on(document, 'visibilitychange', check);
	on(document, 'submit', () => tell(base + '?', sent = 1));
	on(window, 'pageshow', event => event.persisted && check());
	on(window, 'pagehide', event => {
		// The response has arrived.
		sent && tell(base + '?', 1);
		event.persisted && cover();
	});
	if (activity != null) for (const type of ['pointerdown', 'keydown']) on(document, type, event => active = event.isTrusted);
	if (document.querySelector('form[data-portcullis-keep]') || sessionStorage['portcullis-drafts'])
		import('./keep.js');
	const timer = setInterval(tick, 1e3);
	tick();
	return () => {
		off.abort();
		clearInterval(timer);
		hide();
	};
};

customElements.define('portcullis-timeout', class extends HTMLElement {
	connectedCallback() { this.stop ??= start(this); }
	disconnectedCallback() {
		// The element may only have been moved.
		queueMicrotask(() => this.isConnected || (this.stop &&= this.stop()));
	}
});
