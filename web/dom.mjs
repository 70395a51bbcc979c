export const byId = (id) => document.getElementById(id);

// Returns a new element. Properties are set as they are; children are elements or text.
export function el(tag, properties = {}, ...children) {
  const element = Object.assign(document.createElement(tag), properties);
  element.append(...children);
  return element;
}

const time = new Intl.DateTimeFormat(undefined, { hour: '2-digit', minute: '2-digit' });
export const clock = (at) => time.format(at);

// Returns a function that calls `draw` once before the next frame, however often it is called, and
// `pause()` milliseconds later at the earliest.
export function onceAFrame(draw, pause = () => 0) {
  let timer = null;
  const run = () => {
    if (timer === null) return;
    clearTimeout(timer);
    timer = null;
    draw();
  };
  return () => {
    if (timer !== null) return;
    // A page out of view has no frames, and needs its title all the same.
    timer = setTimeout(run, pause() || 200);
    if (!pause()) requestAnimationFrame(run);
  };
}

const THEMES = { '': 'Automatic colours', light: 'Light colours', dark: 'Dark colours' };

// Makes a button that goes through automatic, light and dark colours.
export function themeButton(button) {
  const show = (theme) => {
    document.documentElement.dataset.theme = theme;
    button.ariaLabel = button.title = THEMES[theme];
  };
  show(localStorage.getItem('crc-theme') ?? '');
  button.addEventListener('click', () => {
    const names = Object.keys(THEMES);
    const next = names[(names.indexOf(document.documentElement.dataset.theme) + 1) % names.length];
    localStorage.setItem('crc-theme', next);
    show(next);
  });
}
